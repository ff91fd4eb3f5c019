# SPDX-License-Identifier: Apache-2.0
"""What shows images: a view a file, and the layers, marks and words that views are painted with."""
