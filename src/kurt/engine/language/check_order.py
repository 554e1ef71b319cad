"""Checking the lists of steps: names, needs, fallbacks."""

from __future__ import annotations

from kurt.engine.language.draft import Draft, DraftStep
from kurt.engine.language.faults import Report
from kurt.engine.language.order import Order
from kurt.engine.suggestions import did_you_mean, listing

RESERVED = frozenset(
    {"inputs", "steps", "run", "env", "error", "secrets", "true", "false", "null", "True", "False", "None"}
)
"""Names that mean something else in references and expressions."""


def check_order(report: Report, draft: Draft) -> None:
    """Check every list of steps of a file."""
    for name in draft.value["inputs"] if isinstance(draft.value["inputs"], dict) else ():
        if name in RESERVED:
            hint = f"rename it; {listing(sorted(RESERVED))} have a meaning of their own"
            report.add(("inputs", name), f"an input cannot be named `{name}`", hint, key=True)
    for steps in draft.lists.values():
        _check_list(report, steps, independent=False)


def _check_list(report: Report, steps: list[DraftStep], *, independent: bool) -> None:
    _check_names(report, steps)
    _check_needs(report, steps, independent=independent)
    _check_fallbacks(report, steps)
    for step in steps:
        _check_variables(report, step)
        for label, inner in step.bodies.items():
            _check_list(report, inner, independent=step.type == "parallel" and label == "steps")


def _check_names(report: Report, steps: list[DraftStep]) -> None:
    first: dict[str, DraftStep] = {}
    for step in steps:
        other = first.setdefault(step.name, step)
        if other is not step:
            line, _ = report.source.position(other.place("name"))
            message = f"two steps of this list are named {step.name!r}; the first is on line {line}"
            report.add(step.place("name"), message, "give each step a name of its own")


def _check_needs(report: Report, steps: list[DraftStep], *, independent: bool) -> None:
    order = Order(steps, independent=independent)
    for step in steps:
        if independent and step.needs is not None:
            message = "the steps of `parallel` start at the same time and wait for nothing"
            hint = "take `needs` away, or use a list of steps with `needs`"
            report.add(step.place("needs"), message, hint, key=True)
        else:
            _check_need(report, step, order, [other.name for other in steps] if step.needs else [])
    if order.circle:
        waiting = (step for step in steps if step.name in order.circle and step.needs is not None)
        place = next(waiting).place("needs")
        hint = "a step without `needs` waits for all before it; take one of the `needs` away"
        report.add(place, f"these steps wait for each other: {' -> '.join(order.circle)}", hint)
    elif not order.is_sequential:
        _check_outputs(report, steps, order)


def _check_need(report: Report, step: DraftStep, order: Order, names: list[str]) -> None:
    for index, need in enumerate(step.needs or ()):
        place = step.place("needs")
        place = (*place, index) if isinstance(step.value.get("needs"), list) else place
        if need not in names:
            hint = did_you_mean(need, names, f"steps of this list are {listing(names)}")
            report.add(place, f"there is no step {need!r} in this list to need", hint)
        elif need in order.substitutes:
            message = f"{need!r} runs only instead of another step, so nothing can wait for it"
            report.add(place, message, "need the step whose fallback it is")


def _check_outputs(report: Report, steps: list[DraftStep], order: Order) -> None:
    """Two steps that may run at the same time must not set one variable."""
    setters: dict[str, list[DraftStep]] = {}
    for step in steps:
        if step.output is None or step.name not in order.positions:
            continue
        for other in setters.setdefault(step.output, []):
            if not (order.waits_for(step.name, other.name) or order.waits_for(other.name, step.name)):
                message = (
                    f"{other.name!r} and {step.name!r} may run at the same time and both set `{step.output}`"
                )
                report.add(step.place("output"), message, "give one of them another `output`")
                break
        setters[step.output].append(step)


def _check_fallbacks(report: Report, steps: list[DraftStep]) -> None:
    by_name = {step.name: step for step in steps}
    for step in steps:
        fallback = step.fallback
        if fallback is None:
            continue
        place = (*step.place("on_error"), "fallback")
        if fallback not in by_name:
            hint = did_you_mean(fallback, by_name, f"steps of this list are {listing(by_name)}")
            report.add(place, f"there is no step {fallback!r} in this list to fall back to", hint)
        elif step.name in _chain(by_name, fallback):
            message = f"the fallback {fallback!r} leads back to {step.name!r}"
            report.add(place, message, "let the last one fail, or skip")


def _chain(by_name: dict[str, DraftStep], name: str) -> set[str]:
    """The steps that run one for the other, from `name` on."""
    found: set[str] = set()
    current: str | None = name
    while current is not None and current in by_name and current not in found:
        found.add(current)
        current = by_name[current].fallback
    return found


def _check_variables(report: Report, step: DraftStep) -> None:
    foreach = step.value.get("foreach")
    variable = foreach.get("as") if isinstance(foreach, dict) else None
    for name, place in ((step.output, step.place("output")), (variable, (*step.place("foreach"), "as"))):
        if isinstance(name, str) and name in RESERVED:
            hint = f"rename it; {listing(sorted(RESERVED))} have a meaning of their own"
            report.add(place, f"a variable cannot be named `{name}`", hint)
