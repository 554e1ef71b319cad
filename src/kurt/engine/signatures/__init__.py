"""Signatures of DSPy: what a `dspy` step asks for, read from a file without DSPy, and made for it when the step runs."""
