"""Files that the program brings along: fonts, colour tables, demo study and models."""
