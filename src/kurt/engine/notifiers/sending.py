"""Telling one somebody: several times if need be, within a time, and in plain words if it cannot be done."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from kurt.engine.expressions.references import resolve
from kurt.engine.kinds import StepContext
from kurt.engine.notifiers.base import Notice, NotifierInfo
from kurt.engine.notifiers.wanted import Wanted
from kurt.errors import StepError, StepTimeoutError
from kurt.runtime.masking import Masker

TIME_LIMIT = 10.0
"""Seconds for one attempt to tell somebody."""

WAITS = (1.0, 3.0)
"""Seconds before the second and the third attempt."""

_TEMPORARY = (StepError, ConnectionError, TimeoutError)
"""What may go better a little later; a `StepError` says so itself."""


async def deliver(
    wanted: Wanted,
    known: Mapping[str, NotifierInfo],
    notice: Notice,
    context: StepContext,
    names: Mapping[str, Any],
) -> str:
    """Tell one, and again a little later where that may help; to whom.

    Args:
        wanted: who is told, and how.
        known: the notifiers by type.
        notice: what is told.
        context: what the notifier knows of the run around it; its limits are set here.
        names: what the fields may refer to, beside `notice`.

    Raises:
        StepError: there is no such notifier, its fields do not fit, or it could not tell it.
        Exception: whatever else a notifier raises.
    """
    info = known.get(wanted.type)
    if info is None:
        raise StepError(f"there is no notifier {wanted.type!r}", type="NotifierNotFound")
    fields = _fields(wanted, info, {**names, "notice": notice.to_json()})
    masker = Masker(context.secrets)
    for wait in WAITS:
        try:
            return await _once(info, fields, notice, context)
        except _TEMPORARY as error:
            if not _passes(error):
                raise
            context.log("WARN", f"{wanted.type}: {masker.mask(str(error))}; next attempt in {wait:g} s")
        await asyncio.sleep(wait)
        context = replace(context, attempt=context.attempt + 1)
    return await _once(info, fields, notice, context)


def _fields(wanted: Wanted, info: NotifierInfo, names: Mapping[str, Any]) -> Any:
    """The notifier's fields with every reference replaced."""
    try:
        return info.notifier.Model.model_validate(
            {key: resolve(value, names) for key, value in wanted.spec.items()}
        )
    except ValidationError as error:
        faults = [f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}" for fault in error.errors()]
        raise StepError(f"its fields do not fit: {'; '.join(faults)}", type="FieldError") from None


async def _once(info: NotifierInfo, fields: Any, notice: Notice, context: StepContext) -> str:
    notifier = info.notifier()
    send: Callable[..., Any] = notifier.send
    try:
        async with asyncio.timeout(TIME_LIMIT):
            if inspect.iscoroutinefunction(send):
                told = await send(fields, notice, context)
            else:
                told = await asyncio.to_thread(send, fields, notice, context)
    except TimeoutError as error:
        raise StepTimeoutError(f"it took longer than {TIME_LIMIT:g} s") from error
    return str(told or "")


def _passes(error: Exception) -> bool:
    """Whether it may go better a little later."""
    return not isinstance(error, StepError) or bool(
        error.details.get("retry", isinstance(error, StepTimeoutError))
    )
