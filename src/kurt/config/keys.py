"""The settings that Kurt itself knows: type, default and one line of help for each.

Keys with a dot whose first part is the name of a workflow module (`MAP.MAX_PAGES`) are free; they belong to the
module and are not in this table.
"""

from __future__ import annotations

import re
from typing import NamedTuple

TABLE_FORMAT = "table"


class Key(NamedTuple):
    """A known setting.

    Attributes:
        name: the key as a `kurt.config` file has it.
        kind: `text`, `path`, `integer`, `number`, `duration` (seconds), `size` (bytes) or `choice`.
        default: the value as text when nobody sets it; empty means none.
        help: one line for people.
        choices: the legal values of a `choice`.
        minimum: the least legal number, in the unit of the kind.
    """

    name: str
    kind: str
    default: str
    help: str
    choices: tuple[str, ...] = ()
    minimum: int = 0


KEYS: tuple[Key, ...] = (
    Key(
        "DATABASE_URL", "text", "", "Postgres address (postgresql://...); without it the SQLite file is used"
    ),
    Key("PATH_DB", "path", ".kurt/kurt.sqlite", "SQLite file, from the project's root"),
    Key("PATH_SOURCES", "path", "sources", "Folder of fetched content, from the project's root"),
    Key(
        "DATABASE.SYNCHRONOUS",
        "choice",
        "normal",
        "How SQLite writes: normal survives crashes, full power cuts too",
        ("normal", "full"),
    ),
    Key("WORKFLOW.TIMEOUT", "duration", "", "Ends every run that takes longer; empty for no limit"),
    Key("WORKER.CONCURRENCY", "integer", "10", "Steps that a worker has at work at the same time", minimum=1),
    Key(
        "WORKER.IDLE_EXIT",
        "duration",
        "60s",
        "A worker that --background started ends after so long without work",
    ),
    Key("WORKER.GRACE", "duration", "10s", "Time that running steps get when a worker is told to stop"),
    Key("LOG.MAX_BYTES", "size", "10MB", "A run's log file is rotated when it is larger", minimum=1000),
    Key("GC.KEEP_DAYS", "integer", "30", "Days that `kurt gc` keeps finished runs", minimum=0),
    Key("LLM.MODEL", "text", "", "Model of steps that name none, as provider/model: openai/gpt-4.1-mini"),
    Key("LLM.BASE_URL", "text", "", "Address of the model's interface, where it is not the provider's own"),
    Key(
        "LLM.PRICES",
        "text",
        "",
        "Own prices, provider/model=INPUT/OUTPUT[/CACHED] in US dollars per million tokens, commas between",
    ),
    Key("LLM.REQUESTS_PER_MINUTE", "integer", "", "Calls of a model that a minute may have", minimum=1),
    Key("LLM.TOKENS_PER_MINUTE", "integer", "", "Tokens of a model that a minute may have", minimum=1),
    Key("LLM.BUDGET_USD", "number", "", "US dollars that a step with no budget of its own may spend"),
    Key("LLM.BUDGET_TOKENS", "integer", "", "Tokens that such a step may use"),
    Key(
        "LLM.BUDGET_SCOPE",
        "choice",
        "step",
        "What that limit is for: a step of a run, a run, or all runs of a workspace",
        ("step", "run", "workspace"),
    ),
    Key("EMBEDDING.MODEL", "text", "", "Model that makes vectors; without one they are lexical, made here"),
    Key(
        "EMBEDDING.BASE_URL", "text", "", "Address of that model's interface, where it is not the provider's"
    ),
    Key(
        "LLM.TRACE_CONTENT",
        "choice",
        "on",
        "Whether the traces of model calls keep prompts and answers; tokens and cost they always keep",
        ("on", "off"),
    ),
    Key(
        "OTEL.ENDPOINT",
        "text",
        "",
        "Collector to which spans of model calls go, by OTLP over HTTP; needs kurt[otel]",
    ),
    Key(
        "REDDIT.SUBREDDITS",
        "text",
        "",
        "Where `kurt integrations research reddit` looks, commas between the names",
    ),
    Key(
        "REDDIT.BASE_URL",
        "text",
        "",
        "Address of a server that stands for Reddit: a proxy of yours, a test's",
    ),
    Key(
        "NOTIFY.ON",
        "text",
        "failure",
        "What the NOTIFY settings below tell of: failure, success, waiting, with commas between",
    ),
    Key(
        "NOTIFY.COMMAND", "text", "", "Shell text that is run for each notice; it has NOTICE_TITLE and others"
    ),
    Key("NOTIFY.EMAIL", "text", "", "E-mail addresses that get each notice, commas between"),
    Key("NOTIFY.SLACK", "text", "", "Incoming webhook of Slack or the like that gets each notice; a secret"),
    Key("NOTIFY.WEBHOOK", "text", "", "Address to which each notice is posted as JSON; a secret"),
    Key("SMTP.HOST", "text", "", "Mail server for notices; its password is SMTP_PASSWORD in .env"),
    Key("SMTP.PORT", "integer", "", "Its port; without it 587, 465 or 25, as SMTP.SECURITY says", minimum=1),
    Key(
        "SMTP.SECURITY",
        "choice",
        "starttls",
        "How the connection to the mail server is encrypted",
        ("starttls", "tls", "none"),
    ),
    Key("SMTP.USER", "text", "", "User of the mail server"),
    Key("SMTP.FROM", "text", "", "Sender of e-mails; without it the first address that gets one"),
    Key("USER_ID", "text", "", "Whose runs these are, where several people share a database"),
    Key("WORKSPACE_ID", "text", "", "Which workspace's runs these are, where several share a database"),
    Key(
        "FORMAT",
        "choice",
        TABLE_FORMAT,
        "How commands print results",
        (TABLE_FORMAT, "json", "jsonl"),
    ),
)
"""All settings of the core, in the order in which `kurt config show` lists them."""

KNOWN: dict[str, Key] = {key.name: key for key in KEYS}
"""The table by name."""

NOTIFY = "NOTIFY."
"""What the settings of notifiers begin with: `NOTIFY.<TYPE>`, `NOTIFY.<TYPE>.<FIELD>`; plug-ins add types."""

GROUPS = frozenset(key.name.partition(".")[0] for key in KEYS if "." in key.name)
"""First parts of dotted keys that belong to the core, not to a workflow module."""

PASSED_THROUGH = "DBOS."
"""Keys that begin so are handed to DBOS as they are."""

_SECRET_ANYWHERE = frozenset({"SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY"})
_SECRET_LAST = frozenset({"TOKEN", "SECRETS", "PASSWORDS", "CREDENTIAL", "CREDENTIALS"})
_SECRET_ADDRESSES = frozenset({"NOTIFY.SLACK", "NOTIFY.WEBHOOK", "NOTIFY.SLACK.URL", "NOTIFY.WEBHOOK.URL"})
_SECRET_KEYS = frozenset({"API", "ACCESS", "PRIVATE", "AUTH", "SIGNING", "ENCRYPTION"})


def is_secret(key: str) -> bool:
    """Whether a key's name says that its value is a secret: `OPENAI_API_KEY`, `CMS.ACCESS_TOKEN`, `PGPASSWORD`.

    `MAX_TOKENS` and `DEBOUNCE_KEY` are none.
    """
    words = [word for word in re.split(r"[._-]+", key.upper()) if word and not word.isdigit()]
    if not words:
        return False
    if key.upper() in _SECRET_ADDRESSES:  # who knows them may write there
        return True
    last = words[-1]
    if last in _SECRET_LAST or last.endswith("PASSWORD") or not _SECRET_ANYWHERE.isdisjoint(words):
        return True
    return last == "KEY" and len(words) > 1 and words[-2] in _SECRET_KEYS
