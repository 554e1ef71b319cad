"""Signatures that `dspy` steps name."""

import dspy


class Mood(dspy.Signature):
    """How does the writer feel?"""

    text: str = dspy.InputField()
    mood: str = dspy.OutputField()
