"""A model that knows what the test knows: canned answers for prompts.

with ModelServer(answer=Canned(answers)) as server: ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kurt.llm.shapes import shaped

Answer = Any | Callable[[str], Any]


class Canned:
    """Answers a prompt with the first of its answers whose words stand in it, else by the form alone.

    Args:
        answers: pairs of words that a prompt has, all of them, and what is answered: a value, or what makes one of the
            prompt.

    Attributes:
        prompts: what it was asked.
    """

    def __init__(self, answers: Sequence[tuple[tuple[str, ...], Answer]]) -> None:
        self.prompts: list[str] = []
        self._answers = answers

    def __call__(self, prompt: str, schema: Any) -> Any:
        """The answer to a prompt."""
        self.prompts.append(prompt)
        for words, answer in self._answers:
            if all(word in prompt for word in words):
                return answer(prompt) if callable(answer) else answer
        return shaped(schema) if schema else "an answer"
