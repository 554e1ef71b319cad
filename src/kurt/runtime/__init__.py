"""Processes and durability: the only layer that knows the life cycle of DBOS."""
