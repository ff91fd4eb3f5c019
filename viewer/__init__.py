# SPDX-License-Identifier: Apache-2.0
"""Whyscope: why did this imaging model say that, on this patient's image?"""
