"""The built-in step kinds, one file each; they register through the entry-point group `kurt.steps`."""
