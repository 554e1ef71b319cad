"""Lines of `kurt.config` and `.env`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kurt.config.files import read_config_file, read_env_file
from kurt.errors import ConfigError


def entries(path: Path, text: str) -> list[tuple[str, str, int]]:
    path.write_text(text)
    return [(entry[0], entry[1], entry[2]) for entry in read_env_file(str(path))]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("A = 1  ", "1"),
        ("A=", ""),
        ("A=  # comment", ""),
        ("A=x # comment", "x"),
        ("A=x#y", "x#y"),
        ("A=#fff", "#fff"),
        ('A="x # y"', "x # y"),
        ('A="x" # comment', "x"),
        (r'A="a\nb\"c\\d"', 'a\nb"c\\d'),
        (r"A='a\n$HOME'", r"a\n$HOME"),
        ("A=a=b", "a=b"),
        ("A=$HOME", "$HOME"),
        ("A=it's", "it's"),
        ("export A=1", "1"),
        ("  A=1\r", "1"),
        ("A='x'\r", "x"),
        ("A=ä ö", "ä ö"),
    ],
)
def test_a_value_is_read(tmp_path: Path, line: str, value: str) -> None:
    assert entries(tmp_path / ".env", f"# first\n\n{line}\nB=2\n") == [("A", value, 3), ("B", "2", 4)]


def test_double_quotes_go_over_several_lines(tmp_path: Path) -> None:
    text = 'KEY="-----BEGIN\nabc\n-----END"\nB=2'
    assert entries(tmp_path / ".env", text) == [("KEY", "-----BEGIN\nabc\n-----END", 1), ("B", "2", 4)]


def test_the_last_line_of_a_dotenv_counts_and_both_are_seen(tmp_path: Path) -> None:
    assert entries(tmp_path / ".env", "A=1\nA=2\n") == [("A", "1", 1), ("A", "2", 2)]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfA=1\n")
    assert read_env_file(str(tmp_path / ".env"))[0].key == "A"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("A=1\nnonsense\n", ":2: not an assignment", "KEY=value"),
        ("=1\n", ":1: not an assignment", "KEY=value"),
        ("A-B!=1\n", ":1: 'A-B!' is not a name", "letters"),
        ('A="x\n', ":1: the quote is never closed", 'add "'),
        ("A='x\n'\n", ":1: the quote is never closed", "add '"),
        ('A="x" y\n', ":1: text after the closing quote of A", "#"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        entries(tmp_path / ".env", text)
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_a_key_that_is_set_twice_is_refused_in_the_project_file(tmp_path: Path) -> None:
    path = tmp_path / "kurt.config"
    path.write_text("A.B=1\n\na.b=2\n")
    with pytest.raises(ConfigError, match=r"kurt\.config:3: a\.b is set twice") as caught:
        read_config_file(str(path))
    assert caught.value.hint == "remove this line or line 1"


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_config_file(str(tmp_path / "none")) == []
    (tmp_path / "file").write_text("")
    assert read_config_file(str(tmp_path / "file" / "kurt.config")) == []


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_env_file(str(tmp_path / ".env"))


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_env_file(str(tmp_path / ".env"))


def test_a_path_below_the_working_directory_is_shown_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^\.env:1: "):
        entries(tmp_path / ".env", "nonsense")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=60))
def test_any_text_in_double_quotes_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("env") / ".env"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    path.write_text(f'A="{quoted}"\nB=2\n', encoding="utf-8", newline="")
    assert [(entry.key, entry.value) for entry in read_env_file(str(path))] == [("A", text), ("B", "2")]


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_with_a_place(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    refused = None
    try:
        read_env_file(str(path))
    except ConfigError as error:
        refused = error.message
    assert refused is None or str(path) in refused
