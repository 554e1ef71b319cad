"""Calling models: providers, prices, limits, budgets, the response cache."""
