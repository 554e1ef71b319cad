"""The runner of the documentation's examples sees what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import docs_runner, docs_site

PAGE = """# A page

```yaml title="workflows/x.yaml"
name: x
```

<!-- docs: exit 1 -->
```console
$ one \\
  --flag
out
$ two
```

```python
print(1)
```
```text
1
```

1. indented

   <!-- docs: skip needs a key -->
   ```console
   $ three
   ```
"""


def test_reads_blocks_with_their_directives() -> None:
    file, console, python, output, skipped = docs_runner.blocks(PAGE)
    assert (file.language, file.title, file.body, file.line) == ("yaml", "workflows/x.yaml", "name: x\n", 4)
    assert (console.exit_code, console.skip) == (1, None)
    assert (python.language, output.follows) == ("python", True)
    assert (skipped.skip, skipped.body) == ("needs a key", "$ three\n")


def test_reads_commands_over_several_lines() -> None:
    console = docs_runner.blocks(PAGE)[1]
    first, second = docs_runner.commands(console)
    assert (first.text, first.shown, first.line) == ("one \\\n  --flag", ["out"], 9)
    assert (second.text, second.shown) == ("two", [])


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a", "b"], "a  \nb\n\n", True),
        (["a"], "a\nb\n", False),
        (["a", "..."], "a\nb\nc\n", True),
        (["a", "...", "c"], "a\nc\n", True),
        (["run ... succeeded"], "run 01xyz succeeded\n", True),
        (["run ... succeeded"], "run 01xyz\nsucceeded\n", False),
        (["(1.0*)"], "(1.0*)\n", True),
    ],
)
def test_compares_output(shown: list[str], printed: str, fits: bool) -> None:
    assert docs_runner.shown_matches(shown, printed) is fits


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```brainfuck\n+\n```\n", "unknown language"),
        ("<!-- docs: skip -->\n```console\n$ x\n```\n", "needs a reason"),
        ("<!-- docs: sikp x -->\n```console\n$ x\n```\n", "unknown directive"),
    ],
)
def test_refuses_what_it_does_not_know(page: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        docs_runner.blocks(page)


def test_refuses_a_console_block_without_a_command() -> None:
    (block,) = docs_runner.blocks("```console\nno prompt\n```\n")
    with pytest.raises(AssertionError, match="line 2"):
        docs_runner.commands(block)


def test_writes_files_inside_of_the_project_only(tmp_path: Path) -> None:
    inside, outside = docs_runner.blocks(
        '```toml title="a/b.toml"\nx = 1\n```\n\n```text title="../c"\n\n```\n'
    )
    docs_runner.write_file(inside, tmp_path)
    assert (tmp_path / "a" / "b.toml").read_text() == "x = 1\n"
    with pytest.raises(AssertionError, match="outside"):
        docs_runner.write_file(outside, tmp_path)


def test_a_page_may_work_on_a_site_that_is_a_folder_of_the_repository() -> None:
    page = "<!-- docs: site https://docs.example.com examples/corpus/sqlite -->\n\n```console\n$ true\n```\n"
    assert docs_runner.site(page) == ("https://docs.example.com", "examples/corpus/sqlite")
    assert docs_runner.site("```console\n$ true\n```\n") is None
    assert [command.text for command in docs_runner.commands(docs_runner.blocks(page)[0])] == ["true"]
    mirror = docs_site.Mirror("https://docs.example.com", "http://127.0.0.1:80")
    assert mirror.command("kurt content map https://docs.example.com/a") == (
        "kurt content map http://127.0.0.1:80/a --allow-private"
    )
    assert mirror.command("cat sources/docs.example.com/a.md") == "cat sources/127.0.0.1_80/a.md"
    assert mirror.output("http://127.0.0.1:80/a sources/127.0.0.1_80/a.md") == (
        "https://docs.example.com/a sources/docs.example.com/a.md"
    )
    assert docs_site.Mirror().command("kurt content map x") == "kurt content map x"
