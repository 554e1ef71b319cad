"""One module for each file format, imported when the format is used."""
