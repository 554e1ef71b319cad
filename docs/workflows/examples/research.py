"""Tools that a `dspy` step with `module: react` may use."""


def search(words: str) -> str:
    """Find what is known about some words."""
    return f"Much is known about {words}."
