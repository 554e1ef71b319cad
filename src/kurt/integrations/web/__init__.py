"""The open web: the only way on which content workflows reach the network."""
