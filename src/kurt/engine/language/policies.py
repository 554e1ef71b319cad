"""The models of what a workflow file says about when and how often it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from kurt.engine.language.fields import Model, Seconds, Text

Overlap: TypeAlias = Literal["skip", "queue", "cancel"]
"""What happens when a schedule is due while its last run is not over."""


def _cron(value: str) -> str:
    from kurt.engine.cron import parse_cron  # noqa: PLC0415 - the cron library costs 40 ms, wanted by few files

    return parse_cron(value).expression


def _timezone(value: str) -> str:
    from kurt.engine.cron import check_timezone  # noqa: PLC0415 - see above

    return check_timezone(value)


class ScheduleSpec(Model):
    """When a workflow runs by itself, once `kurt schedules create FILE` has registered it.

    Attributes:
        name: of the schedule; without one that of the workflow.
        cron: when it is due.
        timezone: the zone whose clock `cron` means.
        catch_up: start also what was due while no worker lived.
        overlap: what happens when it is due while its last run is not over.
        inputs: inputs of its runs; may refer to `tick`.
    """

    name: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Name of the schedule; without one that of the workflow.",
        examples=["weekdays"],
    )
    cron: Annotated[Text, AfterValidator(_cron)] = Field(
        description="When it is due: minute, hour, day of the month, month, day of the week; or six fields, the second "
        "first; or a name such as `@daily`.",
        examples=["0 7 * * 1", "@daily"],
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "UTC", description="The time zone whose clock `cron` means.", examples=["Europe/Paris"]
    )
    catch_up: bool = Field(
        False, description="Start also what was due while no worker lived.", examples=[True]
    )
    overlap: Overlap = Field(
        "skip",
        description="When it is due while its last run is not over: `skip` this time, `queue` behind that run, or "
        "`cancel` that run.",
        examples=["queue"],
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="Inputs of its runs. `${tick.date}`, `${tick.time}` and `${tick.at}` say for when a run is.",
        examples=[{"day": "${tick.date}"}],
    )


class DebounceSpec(Model):
    """Requests for a background run that come close together start one run.

    Attributes:
        period: seconds without a further request after which the run starts.
        key: requests with the same key are one; may refer to inputs.
        longest: seconds after the first request at which it starts all the same, `max:` in a file.
    """

    period: Seconds = Field(
        gt=0, description="Start when no further request has come for this time.", examples=["60s"]
    )
    key: Text | None = Field(
        None,
        description="Requests with the same key are one; without a key all requests for this workflow.",
        examples=["${url}"],
    )
    longest: Seconds | None = Field(
        None,
        alias="max",
        gt=0,
        description="Start this time after the first request all the same.",
        examples=["10m"],
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping | cls) else {"period": value}
