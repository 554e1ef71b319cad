"""Running the cases of test files, each in a copy of the project."""
