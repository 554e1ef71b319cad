"""Content management systems: what they hold, what has changed since, and the text of each item."""
