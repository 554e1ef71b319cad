"""References and expressions: parsing, evaluation within limits, functions and patterns."""
