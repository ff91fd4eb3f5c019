"""Whyscope: why did this imaging model say that, on this patient's image?"""
