"""Which endpoint a model is at, and with which key: `provider/model`, settings and the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from kurt.config.address import redacted
from kurt.errors import ConfigError, CredentialsError

if TYPE_CHECKING:
    from kurt.config import Settings

Style = Literal["openai", "anthropic"]
"""The two wire formats that matter."""

COMPATIBLE = "compatible"
"""The provider of models at an address of the user's own, where the model's name tells none."""

COMMON_KEY = "LLM_API_KEY"
"""The variable of the key for an address of the user's own."""

_SCHEMES = ("http", "https")


class Provider(NamedTuple):
    """A provider that Kurt knows.

    Attributes:
        base_url: where its interface begins.
        key: the variable that holds its key; empty where none is needed.
        style: what it speaks.
        base_variable: a variable by which its own tools set another address.
    """

    base_url: str
    key: str = ""
    style: Style = "openai"
    base_variable: str = ""


PROVIDERS: dict[str, Provider] = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY", base_variable="OPENAI_BASE_URL"),
    "anthropic": Provider(
        "https://api.anthropic.com", "ANTHROPIC_API_KEY", "anthropic", base_variable="ANTHROPIC_BASE_URL"
    ),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "google": Provider("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "deepseek": Provider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "xai": Provider("https://api.x.ai/v1", "XAI_API_KEY"),
    "together": Provider("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks": Provider("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "cerebras": Provider("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "perplexity": Provider("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "ollama": Provider("http://localhost:11434/v1", base_variable="OLLAMA_HOST"),
    "llamacpp": Provider("http://localhost:8080/v1"),
    "vllm": Provider("http://localhost:8000/v1"),
    "lmstudio": Provider("http://localhost:1234/v1"),
}
"""Known providers by the first part of a model's name."""

_OTHER_NAMES = {"gemini": "google", "claude": "anthropic", "x-ai": "xai", "llama.cpp": "llamacpp"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is.

    Attributes:
        provider: whose it is.
        model: the provider's own name of it.
        style: what the endpoint speaks.
        base_url: where its interface begins, without a slash at the end.
        key: what proves who we are, or None.
        key_variable: the variable that holds it.
    """

    provider: str
    model: str
    style: Style
    base_url: str
    key: str | None = field(repr=False)
    key_variable: str

    @property
    def shown(self) -> str:
        """The address without a password."""
        return redacted(self.base_url)


def chosen_model(
    settings: Settings,
    explicit: str | None = None,
    *,
    module: str | None = None,
    step: str | None = None,
    kind: Literal["LLM", "EMBEDDING"] = "LLM",
) -> str | None:
    """The model that holds for a step: given in code, else the step's, the module's, the project's; None for none.

    Args:
        settings: the project's settings.
        explicit: the model that the code names.
        module: the workflow module, such as `extract`.
        step: a step of it.
        kind: `EMBEDDING` for models that make vectors.
    """
    if explicit:
        return explicit
    found = settings.get(f"{kind}_MODEL", module=module, step=step) or settings.get(f"{kind}.MODEL")
    return str(found) if found else None


def require_model(
    settings: Settings, explicit: str | None = None, *, module: str | None = None, step: str | None = None
) -> str:
    """The model that holds for a step.

    Raises:
        ConfigError: none is set.
    """
    found = chosen_model(settings, explicit, module=module, step=step)
    if found is None:
        nearest = f"{module.upper()}.LLM_MODEL or " if module else ""
        raise ConfigError(
            "no model is set",
            hint=f"set {nearest}LLM.MODEL in kurt.config, for example LLM.MODEL=openai/gpt-4.1-mini",
        )
    return found


def resolve(  # noqa: PLR0913 - what callers may choose, by keyword
    settings: Settings,
    model: str,
    *,
    module: str | None = None,
    step: str | None = None,
    kind: Literal["LLM", "EMBEDDING"] = "LLM",
    base_url: str | None = None,
    key: str | None = None,
) -> Endpoint:
    """Where a model is, and the key for it.

    Args:
        settings: the project's settings.
        model: `provider/model`.
        module: the workflow module whose address and key hold, if it has its own.
        step: a step of it.
        kind: `EMBEDDING` for models that make vectors.
        base_url: the address, where the code gives it.
        key: the key, where the code gives it.

    Raises:
        ConfigError: nobody knows the provider, or the address is none.
        CredentialsError: the key is missing.
    """
    base, origin = (base_url, "base_url") if base_url else _base_url(settings, model, module, step, kind)
    name, _, rest = model.partition("/")
    name = _OTHER_NAMES.get(name, name)
    known = PROVIDERS.get(name)
    if known is None or not rest:
        name, rest = (COMPATIBLE, rest) if name == COMPATIBLE and rest else (COMPATIBLE, model)
        if base is None:
            raise _unknown(model)
        known = Provider(base, COMMON_KEY)
    own = _own_address(settings, known) if base is None else None
    address = _checked(base or own or known.base_url, origin or known.base_variable)
    own_address = base is not None or own is not None
    key = key or _key(settings, known, custom=own_address)
    if key is None and not own_address and known.key:
        raise CredentialsError(
            f"there is no key for {name}: {known.key} is not set",
            hint=f"put {known.key}=... into .env, or export it",
        )
    return Endpoint(name, rest, known.style, address, key, known.key or COMMON_KEY)


def _base_url(
    settings: Settings, model: str, module: str | None, step: str | None, kind: str
) -> tuple[str | None, str]:
    """The address that the settings give for a model, and the setting's name.

    The project's address belongs to the project's model: a step that names a model of another provider does not send
    its key there.
    """
    own = settings.get(f"{kind}_BASE_URL", module=module, step=step)
    if own:
        return str(own), f"{kind}_BASE_URL"
    common = settings.get(f"{kind}.BASE_URL")
    default = settings.get(f"{kind}.MODEL")
    if not common or (default and _provider(str(default)) != _provider(model)):
        return None, ""
    return str(common), f"{kind}.BASE_URL"


def _provider(model: str) -> str:
    name = model.partition("/")[0]
    name = _OTHER_NAMES.get(name, name)
    return name if name in PROVIDERS else COMPATIBLE


def _own_address(settings: Settings, known: Provider) -> str | None:
    """The address that the provider's own tools would take from the environment."""
    if not known.base_variable:
        return None
    text = settings.environ.get(known.base_variable)
    if not text or known.base_variable != "OLLAMA_HOST":
        return text or None
    host = text if "://" in text else f"http://{text}"
    host = host.replace("//0.0.0.0", "//127.0.0.1")
    return host.rstrip("/") + "/v1"


def _key(settings: Settings, known: Provider, *, custom: bool) -> str | None:
    """The key for an endpoint; at an address of the user's own, the common key comes first."""
    names = (COMMON_KEY, known.key) if custom else (known.key,)
    found = (settings.secret(name) for name in names if name)
    return next((text.strip() for text in found if text and text.strip()), None)


def _checked(address: str, origin: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigError(
            f"{origin or 'the address'}={redacted(address)!r} is no address of a model",
            hint="write it as http://host:port/v1",
        )
    return address.rstrip("/")


def _unknown(model: str) -> ConfigError:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    name, slash, rest = model.partition("/")
    close = get_close_matches(name, [*PROVIDERS, *_OTHER_NAMES], n=1)
    if slash and rest and close:
        hint = f"did you mean {close[0]}/{rest}?"
    else:
        hint = f"write provider/model with one of {', '.join(PROVIDERS)}, or set LLM.BASE_URL for a server of your own"
    return ConfigError(f"nobody knows the provider of the model {model!r}", hint=hint)
