"""The built-in explainers, one a file; they enter by the same entry points as a stranger's."""
