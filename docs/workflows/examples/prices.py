"""Functions of the project that workflow files call."""


def total(items: list[dict[str, float]], tax: float = 0.0) -> float:
    """What everything costs."""
    return round(sum(item["price"] for item in items) * (1 + tax), 2)
