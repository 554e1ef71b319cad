"""Use cases that the command line, the web and workers share."""
