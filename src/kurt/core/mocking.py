"""Whether models are real where the caller is: in a run that pretends, or in a process of one, they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kurt.runtime import mocked, place

if TYPE_CHECKING:
    from kurt.llm.mock import MockCompleter


def mock_here(step: str) -> MockCompleter | None:
    """What answers in place of all models where the caller is; None where they are real.

    Whoever gets one asks it, names the model by its `model()`, and leaves caches, limits and budgets alone: nothing is
    called, nothing is paid, and what is made up must never be taken for an answer. Blocks for one read of the
    database the first time in a run.

    Args:
        step: path or name of the step that asks, by which given answers are chosen.
    """
    run_id = place.run_id()
    if run_id is None:
        found = {"answers": []} if mocked.asked_by_environment() else None
    else:
        found = mocked.models_of_run(run_id)
    if found is None:
        return None
    from kurt.llm.mock import MockCompleter  # noqa: PLC0415 - few runs pretend

    return MockCompleter(found["answers"], step)
