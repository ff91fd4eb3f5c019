# SPDX-License-Identifier: Apache-2.0
"""The built-in explainers, one a file; they enter by the same entry points as a stranger's."""
