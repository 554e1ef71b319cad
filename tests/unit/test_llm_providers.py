"""Which endpoint a model is at: names, settings, environment, keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from kurt.config import Settings, load_settings
from kurt.errors import ConfigError, CredentialsError
from kurt.llm.limits import RateLimit
from kurt.llm.providers import PROVIDERS, chosen_model, require_model, resolve


def settings(**environ: str) -> Settings:
    return load_settings(environ=environ)


@pytest.mark.parametrize("name", [name for name, known in PROVIDERS.items() if known.key])
def test_a_missing_key_names_its_variable(name: str) -> None:
    with pytest.raises(CredentialsError, match=f"{PROVIDERS[name].key} is not set") as failure:
        resolve(settings(), f"{name}/some-model")
    assert failure.value.exit_code == 4
    assert f"{PROVIDERS[name].key}=" in (failure.value.hint or "")


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_is_at_its_own_address(name: str) -> None:
    known = PROVIDERS[name]
    found = resolve(settings(**({known.key: "k"} if known.key else {})), f"{name}/family/some-model")
    assert (found.provider, found.model, found.base_url) == (name, "family/some-model", known.base_url)
    assert found.key == ("k" if known.key else None)


def test_a_key_is_not_in_the_repr_of_an_endpoint() -> None:
    found = resolve(settings(OPENAI_API_KEY="sk-very-secret"), "openai/gpt-4.1")
    assert found.key == "sk-very-secret"
    assert "sk-very-secret" not in f"{found} {found!r}"


def test_a_blank_key_is_no_key() -> None:
    with pytest.raises(CredentialsError):
        resolve(settings(OPENAI_API_KEY="  "), "openai/gpt-4.1")


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("opnai/gpt-4.1", "did you mean openai/gpt-4.1?"),
        ("gpt-4.1", "write provider/model"),
        ("nobody/x", "set LLM.BASE_URL"),
        ("openai/", "write provider/model"),
    ],
)
def test_an_unknown_provider_is_told_with_a_remedy(model: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="nobody knows the provider") as failure:
        resolve(settings(), model)
    assert hint in (failure.value.hint or "")


def test_an_address_of_ones_own_needs_no_key_and_any_name_will_do() -> None:
    own = settings(KURT_LLM__BASE_URL="http://127.0.0.1:9000/v1/")
    found = resolve(own, "meta-llama/Llama-3.3-70B")
    assert (found.provider, found.model) == ("compatible", "meta-llama/Llama-3.3-70B")
    assert (found.base_url, found.key, found.style) == ("http://127.0.0.1:9000/v1", None, "openai")
    assert resolve(own, "compatible/llama").model == "llama"
    assert resolve(own, "openai/gpt-4.1").base_url == "http://127.0.0.1:9000/v1"
    assert resolve(own, "claude/claude-x").style == "anthropic"


def test_the_common_key_comes_first_at_an_address_of_ones_own() -> None:
    environ = {"KURT_LLM__BASE_URL": "http://proxy/v1", "OPENAI_API_KEY": "theirs"}
    assert resolve(settings(**environ), "openai/x").key == "theirs"
    assert resolve(settings(**environ, LLM_API_KEY="common"), "openai/x").key == "common"
    assert resolve(settings(OPENAI_API_KEY="theirs", LLM_API_KEY="common"), "openai/x").key == "theirs"


def test_a_key_does_not_go_to_the_address_of_another_provider() -> None:
    mixed = settings(
        KURT_LLM__MODEL="openai/gpt-4.1",
        KURT_LLM__BASE_URL="http://proxy/v1",
        ANTHROPIC_API_KEY="secret",
        OPENAI_API_KEY="open",
    )
    assert resolve(mixed, "openai/another").base_url == "http://proxy/v1"
    assert resolve(mixed, "anthropic/claude-x").base_url == PROVIDERS["anthropic"].base_url


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0:11434", "http://127.0.0.1:11434/v1"),
        ("http://gpu:1/", "http://gpu:1/v1"),
        ("gpu:11434", "http://gpu:11434/v1"),
    ],
)
def test_the_address_of_ollama(host: str, address: str) -> None:
    assert resolve(settings(OLLAMA_HOST=host), "ollama/llama3").base_url == address


def test_the_addresses_that_other_tools_read() -> None:
    found = resolve(settings(OPENAI_BASE_URL="http://proxy/v1", OPENAI_API_KEY="k"), "openai/x")
    assert (found.base_url, found.key) == ("http://proxy/v1", "k")


@pytest.mark.parametrize("address", ["ftp://host/v1", "localhost:8000", "http://", "nonsense"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a model"):
        resolve(settings(KURT_LLM__BASE_URL=address), "openai/x")


def test_a_password_in_an_address_is_not_shown() -> None:
    found = resolve(settings(KURT_LLM__BASE_URL="http://me:hunter2@proxy/v1"), "openai/x")
    assert "hunter2" not in found.shown


def ladder(tmp_path: Path, text: str, **environ: str) -> Settings:
    (tmp_path / "kurt.config").write_text(text)
    return load_settings(tmp_path, environ=environ)


def test_the_nearest_model_wins(tmp_path: Path) -> None:
    text = 'LLM.MODEL="openai/a"\nEXTRACT.LLM_MODEL="openai/b"\nEXTRACT.ENTITIES.LLM_MODEL="openai/c"\n'
    found = ladder(tmp_path, text)
    assert chosen_model(found, "openai/d", module="extract", step="entities") == "openai/d"
    assert chosen_model(found, module="extract", step="entities") == "openai/c"
    assert chosen_model(found, module="extract", step="other") == "openai/b"
    assert chosen_model(found, module="map", step="entities") == "openai/a"
    assert chosen_model(found) == "openai/a"


def test_the_nearest_address_wins(tmp_path: Path) -> None:
    text = 'LLM.BASE_URL="http://a/v1"\nEXTRACT.LLM_BASE_URL="http://b/v1"\n'
    found = ladder(tmp_path, text)
    assert resolve(found, "openai/x", module="extract", step="any").base_url == "http://b/v1"
    assert resolve(found, "openai/x", module="map").base_url == "http://a/v1"


def test_no_model_says_what_to_set() -> None:
    assert chosen_model(settings()) is None
    with pytest.raises(ConfigError, match="no model is set") as failure:
        require_model(settings(), module="extract")
    assert "EXTRACT.LLM_MODEL or LLM.MODEL" in (failure.value.hint or "")
    assert require_model(settings(), "openai/x") == "openai/x"


def test_rate_limits_by_the_settings(tmp_path: Path) -> None:
    found = ladder(tmp_path, 'LLM.REQUESTS_PER_MINUTE="600"\nEXTRACT.LLM_TOKENS_PER_MINUTE="9000"\n')
    assert RateLimit.from_settings(settings()) is None
    assert RateLimit.from_settings(found) == RateLimit(600, None)
    assert RateLimit.from_settings(found, module="extract") == RateLimit(600, 9000)


def test_a_rate_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    found = ladder(tmp_path, 'EXTRACT.LLM_TOKENS_PER_MINUTE="many"\n')
    with pytest.raises(ConfigError, match="is no whole number"):
        RateLimit.from_settings(found, module="extract")
