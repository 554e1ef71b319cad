"""Test files of workflow files: what may stand in them, and what they expect."""
