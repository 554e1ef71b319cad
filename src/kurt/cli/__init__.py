"""The command line: thin click commands, one file a group, and the one place that prints results."""
