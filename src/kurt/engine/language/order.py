"""The order of a list of steps: what waits for what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol


class Ordered(Protocol):
    """What the order of a list of steps depends on."""

    @property
    def name(self) -> str:
        """The step's name."""
        ...

    @property
    def needs(self) -> Sequence[str] | None:
        """What it says it waits for."""
        ...

    @property
    def fallback(self) -> object:
        """What runs when it has failed."""
        ...


class Order:
    """Who waits for whom in one list.

    Attributes:
        positions: place of each step that runs in its own place; of two with one name, an error, the first counts.
        substitutes: steps that another one names as its fallback: they run instead of it, not in their own place.
        circle: names of steps that wait for each other, the first again at the end; None if there are none.
    """

    def __init__(self, steps: Sequence[Ordered], *, independent: bool = False) -> None:
        self.substitutes = fallback_names(steps)
        self.positions: dict[str, int] = {}
        for step in steps:
            if step.name not in self.substitutes:
                self.positions.setdefault(step.name, len(self.positions))
        self.circle: list[str] | None = None
        self._independent = independent
        self._before: dict[str, int] | None = None
        if not independent and any(step.needs is not None for step in steps):
            needs = dependencies(steps)
            self.circle = cycle(needs)
            self._before = None if self.circle else self._closure(needs)

    @property
    def is_sequential(self) -> bool:
        """Whether no two steps can be at work at once."""
        return not self._independent and self._before is None

    def waits_for(self, name: str, other: str) -> bool:
        """Whether the step waits for the other one, directly or through more."""
        place, end = self.positions.get(other), self.positions.get(name)
        if place is None or end is None or self._independent:
            return False
        if self._before is None:
            return place < end
        return bool(self._before[name] >> place & 1)

    def _closure(self, needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """For each step the bits of the positions of all that it waits for."""
        found: dict[str, int] = {}
        todo = list(needs)[::-1]
        while todo:
            name = todo[-1]
            known = [other for other in needs[name] if other in needs]
            waiting = [other for other in known if other not in found]
            if name in found or not waiting:
                todo.pop()
                bits = 0
                for other in known:
                    bits |= 1 << self.positions[other] | found[other]
                found[name] = bits
            else:
                todo.extend(waiting)
        return found


def fallback_names(steps: Iterable[Ordered]) -> set[str]:
    """The steps that another one names as its fallback."""
    return {step.fallback for step in steps if isinstance(step.fallback, str)}


def dependencies(steps: Sequence[Ordered], *, independent: bool = False) -> dict[str, list[str]]:
    """What each step of a list waits for: what it needs, or else all that stand before it.

    Args:
        steps: the list; steps that are only fallbacks are left out of the result.
        independent: the branches of a `parallel` block, which wait for nothing.
    """
    substitutes = fallback_names(steps)
    before: list[str] = []
    needs: dict[str, list[str]] = {}
    for step in steps:
        if step.name in substitutes or step.name in needs:
            continue
        own = before if step.needs is None else step.needs
        needs[step.name] = [] if independent else list(own)
        before.append(step.name)
    return needs


def ancestors(needs: Mapping[str, Sequence[str]], name: str) -> set[str]:
    """Everything that a step waits for, directly or through others; names that are not in `needs` are left out."""
    found: set[str] = set()
    todo = list(needs.get(name, ()))
    while todo:
        other = todo.pop()
        if other not in found and other in needs:
            found.add(other)
            todo.extend(needs[other])
    return found


def direct_needs(steps: Sequence[Ordered], *, independent: bool = False) -> dict[str, list[str]]:
    """What each step waits for, without what it waits for through others."""
    order = Order(steps, independent=independent)
    if order.is_sequential:
        names = list(order.positions)
        return {name: names[index - 1 : index] if index else [] for index, name in enumerate(names)}
    needs = dependencies(steps, independent=independent)
    return {
        name: [other for other in others if not any(order.waits_for(third, other) for third in others)]
        for name, others in needs.items()
    }


def cycle(needs: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Names of steps that wait for each other in a circle, the first again at the end; None if there are none."""
    done: set[str] = set()
    for start in needs:
        if start in done:
            continue
        trail = [start]
        todo: list[Iterator[str]] = [iter(needs[start])]
        while todo:
            other = next((item for item in todo[-1] if item in needs and item not in done), None)
            if other is None:
                todo.pop()
                done.add(trail.pop())
            elif other in trail:
                return [*trail[trail.index(other) :], other]
            else:
                trail.append(other)
                todo.append(iter(needs[other]))
    return None
