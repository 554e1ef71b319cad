"""Programs for those who work on Kurt."""
