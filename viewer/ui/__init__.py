# SPDX-License-Identifier: Apache-2.0
"""The window: a presenter decides, widgets show one frozen state and emit wishes."""
