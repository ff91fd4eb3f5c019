# SPDX-License-Identifier: Apache-2.0
"""Who decides what the window shows: one part a file; they share one store."""
