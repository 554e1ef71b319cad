"""The interpreter: what executes a checked workflow durably."""
