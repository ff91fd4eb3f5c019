# SPDX-License-Identifier: Apache-2.0
"""Files that the program brings along: fonts, colour tables, demo study and models."""
