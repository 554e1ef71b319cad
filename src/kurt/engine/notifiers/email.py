"""The notifier `email`: a message by SMTP."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from email.errors import HeaderParseError
from email.message import EmailMessage
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from kurt.config import load_settings
from kurt.engine.kinds import Fields, StepContext
from kurt.engine.notifiers.base import Notice, Notifier, Words
from kurt.errors import StepError

if TYPE_CHECKING:
    from kurt.config import Settings

Security = Literal["starttls", "tls", "none"]

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class EmailFields(Fields):
    """Fields of an `email` notification; what says how to reach the server has settings of its own, `SMTP.*`."""

    to: Words = Field(
        min_length=1, description="Addresses; one may stand alone.", examples=[["ops@example.com"]]
    )
    sender: str | None = Field(
        default=None,
        alias="from",
        description="Sender; without it `SMTP.FROM`, else the first of `to`.",
        examples=["kurt@example.com"],
    )
    subject: str | None = Field(
        default=None, description="Subject; without it the notice's title.", examples=["${run.name} failed"]
    )
    text: str | None = Field(
        default=None, description="Text; without it that of the notice.", examples=["${error.message}"]
    )
    host: str | None = Field(
        default=None, description="Mail server; without it `SMTP.HOST`.", examples=["smtp.example.com"]
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Its port; without it `SMTP.PORT`, else 587, 465 or 25 as `security` says.",
        examples=[2525],
    )
    security: Security | None = Field(
        default=None,
        description="`starttls` (the default), `tls` from the first byte, or `none`; without it `SMTP.SECURITY`.",
        examples=["tls"],
    )
    user: str | None = Field(
        default=None, description="User of the mail server; without it `SMTP.USER`.", examples=["kurt"]
    )
    password: str | None = Field(
        default=None,
        description="Its password; without it `SMTP_PASSWORD` of `.env` or the environment.",
        examples=["${env.MAIL_PASSWORD}"],
    )


class EmailNotifier(Notifier):
    """Sends the notice as plain text."""

    type = "email"
    Model = EmailFields
    short = "to"

    def send(self, fields: EmailFields, notice: Notice, context: StepContext) -> str:
        """Send it; to whom.

        Raises:
            StepError: no server is named, it cannot be reached, or it refuses.
        """
        settings = load_settings(context.project_root)
        server = _Server(fields, settings)
        message = _message(fields, notice, server.sender)
        try:
            server.deliver(message, context.limits.timeout or 10.0)
        except smtplib.SMTPResponseException as error:
            text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else ""
            raise StepError(
                f"the mail server {server.host} refused: {error.smtp_code} {text.splitlines()[0] if text else ''}",
                type="MailRefused",
                hint="check SMTP.USER, SMTP_PASSWORD and the addresses",
                details={"status": error.smtp_code, "retry": 400 <= error.smtp_code < 500},
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            raise StepError(
                f"the mail server {server.host} refused {', '.join(error.recipients)}", type="MailRefused"
            ) from None
        except (OSError, smtplib.SMTPException) as error:
            raise _unreachable(server.host, server.port, error) from None
        return ", ".join(fields.to)


class _Server:
    """The mail server: what the file says, else what the settings say."""

    def __init__(self, fields: EmailFields, settings: Settings) -> None:
        self.host = fields.host or str(settings.get("SMTP.HOST") or "")
        if not self.host:
            raise StepError(
                "no mail server is named",
                type="FieldError",
                hint="add a line to kurt.config: SMTP.HOST=smtp.example.com",
            )
        self.security = fields.security or str(settings.get("SMTP.SECURITY"))
        self.port = fields.port or int(settings.get("SMTP.PORT") or _PORTS[self.security])
        self.user = fields.user or str(settings.get("SMTP.USER") or "")
        self._password = fields.password or settings.secret("SMTP_PASSWORD") or ""
        self.sender = fields.sender or str(settings.get("SMTP.FROM") or "") or fields.to[0]

    def deliver(self, message: EmailMessage, timeout: float) -> None:
        """Hand the message over, encrypted unless that is switched off."""
        if self.user and self.security == "none" and self.host not in _LOCAL:
            raise StepError(
                f"the password would go to {self.host} in the clear",
                type="FieldError",
                hint="use `security: starttls` or `tls`",
            )
        secure = ssl.create_default_context()
        if self.security == "tls":
            connection = smtplib.SMTP_SSL(self.host, self.port, timeout=timeout, context=secure)
        else:
            connection = smtplib.SMTP(self.host, self.port, timeout=timeout)
        with connection:
            if self.security == "starttls":
                connection.starttls(context=secure)
            if self.user:
                connection.login(self.user, self._password)
            connection.send_message(message)


def _message(fields: EmailFields, notice: Notice, sender: str) -> EmailMessage:
    digest = hashlib.sha256(notice.id.encode()).hexdigest()[:32]
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = ", ".join(fields.to)
        message["Subject"] = " ".join((fields.subject or notice.title).split())
    except (ValueError, HeaderParseError) as error:
        raise StepError(
            f"an address is none: {error}", type="FieldError", hint="look at `to` and `from`"
        ) from error
    message["Message-ID"] = f"<{digest}@kurt.invalid>"  # the same when it is sent again
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(fields.text or notice.text)
    return message


def _unreachable(host: str, port: int, error: Exception) -> StepError:
    is_certificate = isinstance(error, ssl.SSLError)
    hint = (
        "the server's certificate must be valid for its name"
        if is_certificate
        else "check SMTP.HOST and SMTP.PORT"
    )
    is_passing = not is_certificate and not isinstance(error, smtplib.SMTPNotSupportedError)
    return StepError(
        f"the mail server {host}:{port} cannot be used: {error}",
        type="ConnectionError",
        hint=hint,
        details={"retry": is_passing},
    )
