"""Writing a new workflow into a project: a Python module with its tests, or a commented file."""
