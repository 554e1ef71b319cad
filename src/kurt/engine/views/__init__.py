"""Pictures and plans of a workflow, made without running it."""
