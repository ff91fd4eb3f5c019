"""Who decides what the window shows: one part a file; they share one store."""
