"""Feature modules, one a folder; they never import each other."""
