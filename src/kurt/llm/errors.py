"""What can go wrong when a model is called.

ModelError
  RateLimitedError     429: too much at once                      repeated
  ServerError          5xx: the provider failed                   repeated
  ModelTimeoutError    no answer within the request's time limit   repeated
  ConnectionCutError   not reached, or cut in mid-answer           repeated
  QuotaSpentError      the account's money or quota is spent       never repeated, ends the batch
  RefusedError         4xx that the same request cannot heal       never repeated
  AnswerError          not JSON, or breaks the schema              asked again with the fault
  BudgetSpentError     the project's own limit is reached          nothing was sent, ends the batch
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kurt.errors import KurtError
from kurt.runtime.serializer import register_error

if TYPE_CHECKING:
    from kurt.llm.types import Attempt, Response


class ModelError(KurtError):
    """The model did not answer.

    Attributes:
        type: name of the kind of failure for programs, what `llm_traces.error_type` holds.
        status: HTTP status of the refusal, or None.
        retry_after: seconds that the provider asks to wait, or None.
        retryable: whether the same request may succeed later.
        fatal: whether every other request to the same model will fail likewise, so that a batch should stop.
        response: the answer that was paid but is of no use, or None.
        attempts: all calls that were made, this one last; filled by `ask`.
    """

    code = "model"
    default_type: ClassVar[str] = "ModelError"
    default_retryable: ClassVar[bool] = False
    default_fatal: ClassVar[bool] = False

    def __init__(  # noqa: PLR0913 - all of it is keyword-only facts
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        causes: tuple[str, ...] = (),
        type: str | None = None,  # noqa: A002 - the word that `error.type` has in a workflow file
        status: int | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        fatal: bool | None = None,
        response: Response | None = None,
    ) -> None:
        super().__init__(message, hint=hint, causes=causes)
        self.type = type or self.default_type
        self.status = status
        self.retry_after = retry_after
        self.retryable = self.default_retryable if retryable is None else retryable
        self.fatal = self.default_fatal if fatal is None else fatal
        self.response = response
        self.attempts: tuple[Attempt, ...] = ()


class RateLimitedError(ModelError):
    """The provider is asked too often."""

    code = "model_rate_limited"
    default_type = "RateLimited"
    default_retryable = True


class ServerError(ModelError):
    """The provider failed."""

    code = "model_server"
    default_type = "ServerError"
    default_retryable = True


class ModelTimeoutError(ModelError):
    """The model did not answer in time."""

    code = "model_timeout"
    default_type = "Timeout"
    default_retryable = True


class ConnectionCutError(ModelError):
    """The connection to the provider failed."""

    code = "model_connection"
    default_type = "ConnectionCut"
    default_retryable = True


class QuotaSpentError(ModelError):
    """The account's quota is spent."""

    code = "model_quota"
    default_type = "QuotaSpent"
    default_fatal = True


class RefusedError(ModelError):
    """The provider refused the request."""

    code = "model_refused"
    default_type = "Refused"


class AnswerError(ModelError):
    """The answer does not have the form that it should have."""

    code = "model_answer"
    default_type = "InvalidAnswer"


class BudgetSpentError(ModelError):
    """The budget is spent.

    Attributes:
        partial: the budget says that work goes on without what could not be paid.
    """

    code = "model_budget"
    default_type = "BudgetSpent"
    default_fatal = True
    partial = False


for _error in (
    ModelError,
    RateLimitedError,
    ServerError,
    ModelTimeoutError,
    ConnectionCutError,
    QuotaSpentError,
    RefusedError,
    AnswerError,
    BudgetSpentError,
):
    register_error(_error)
