"""The states that people see, and their names in the database."""

from __future__ import annotations

import pytest

from kurt.runtime.states import OVER, STATES, shown_state, stored_state


@pytest.mark.parametrize(
    ("stored", "waiting", "alive", "shown"),
    [
        ("DELAYED", False, False, "scheduled"),
        ("ENQUEUED", False, True, "queued"),
        ("PENDING", False, True, "running"),
        ("PENDING", False, False, "interrupted"),
        ("PENDING", True, True, "waiting"),
        ("PENDING", True, False, "waiting"),
        ("SUCCESS", True, True, "succeeded"),
        ("ERROR", False, False, "failed"),
        ("CANCELLED", True, False, "cancelled"),
        ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", False, False, "stuck"),
        ("SOMETHING_NEW", False, False, "something_new"),
        (None, False, False, "unknown"),
    ],
)
def test_what_people_see(stored: str | None, waiting: bool, alive: bool, shown: str) -> None:
    assert shown_state(stored, waiting=waiting, owner_alive=alive) == shown


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_name_in_the_database(state: str) -> None:
    stored = stored_state(state)
    ways = {
        shown_state(stored, waiting=waiting, owner_alive=alive)
        for waiting in (True, False)
        for alive in (True, False)
    }
    assert state in ways
    assert (ways <= OVER) == (state in OVER)


def test_an_unknown_state_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'done' is not a state.*succeeded"):
        stored_state("done")
