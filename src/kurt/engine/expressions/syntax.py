"""From the text of an expression to Python's syntax tree: references become names, and bad syntax gets a remedy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kurt.engine.expressions.references import Reference, TemplateSyntaxError, reference_at

MAX_LENGTH = 4000
EXAMPLE = "an expression is, for example, `len(pages) > 0 and mode == 'fast'`"
PLACEHOLDER = "_kurt_reference_"

_QUOTED = re.compile(r"""([bBfFrRuU]{1,2})?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_WORD = re.compile(r"\w+")
_ESCAPE = re.compile(r"""\\([nrt\\'"]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_FOREIGN = re.compile(r"&&|\|\||===|!==|!(?!=)|\?\?|\?|#|;|`|\{\{|:=|=>|->|(?<![=!<>])=(?!=)")
_REMEDY = {
    "&&": "write `and`",
    "||": "write `or`",
    "===": "write `==`",
    "!==": "write `!=`",
    "!": "write `not`",
    "??": "write `default(x, y)`, or `${x ?? y}`",
    "?": "write `a if condition else b`",
    "=": "write `==`",
    "{{": "write the name alone, or `${name}`",
}


class ExpressionSyntaxError(ValueError):
    """The text is no expression of this language.

    Attributes:
        hint: the remedy, or None.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def parse(text: str) -> tuple[ast.expr, tuple[Reference, ...]]:
    """The syntax tree of an expression, in which the n-th `${...}` outside of quotes is the name
    `PLACEHOLDER` + n, and these references.

    Raises:
        ExpressionSyntaxError: it is too long or not well formed.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionSyntaxError(f"it has {len(text)} characters; {MAX_LENGTH} are allowed")
    if PLACEHOLDER in text:
        raise ExpressionSyntaxError(f"names may not contain `{PLACEHOLDER}`")
    references: list[Reference] = []
    plain = "".join(_pieces(text, references)).strip()
    if not plain:
        raise ExpressionSyntaxError("it is empty")
    return _tree(plain), tuple(references)


def _pieces(text: str, references: list[Reference]) -> Iterator[str]:
    """The text with references replaced and quoted texts written out; fills `references`."""
    position = 0
    while position < len(text):
        if quoted := _QUOTED.match(text, position):
            yield f" {_unquoted(quoted)!r} "
            position = quoted.end()
        elif text.startswith("${", position):
            reference, position = _reference(text, position)
            yield f" {PLACEHOLDER}{len(references)} "
            references.append(reference)
        elif word := _WORD.match(text, position):
            yield word[0]
            position = word.end()
        else:
            _refuse_foreign(text, position)
            yield " " if text[position] in "\r\n" else text[position]
            position += 1


def _unquoted(quoted: re.Match[str]) -> str:
    """The value of a quoted text; a backslash before any other character is itself, so that patterns read well."""
    prefix, body = (quoted[1] or "").lower(), quoted[2][1:-1]
    if prefix == "f":
        raise ExpressionSyntaxError("there are no f-strings", "write '${name}' inside the quotes")
    if prefix not in ("", "r"):
        raise ExpressionSyntaxError(f"a quoted text cannot have the prefix `{quoted[1]}`")
    return body if prefix else _ESCAPE.sub(_unescaped, body)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code[1:], 16)) if code[0] in "xu" else _ESCAPES[code]


def _reference(text: str, position: int) -> tuple[Reference, int]:
    try:
        return reference_at(text, position)
    except TemplateSyntaxError as error:
        raise ExpressionSyntaxError(str(error), error.hint) from None


def _refuse_foreign(text: str, position: int) -> None:
    """What other languages write, and what Python would read as something else."""
    if text[position] in "\"'":
        raise ExpressionSyntaxError(f"the quote {text[position : position + 20]!r} is not closed")
    found = _FOREIGN.match(text, position)
    if found:
        raise ExpressionSyntaxError(f"`{found[0]}` has no meaning here", _REMEDY.get(found[0]))


def _tree(plain: str) -> ast.expr:
    try:
        return ast.parse(plain, mode="eval").body
    except SyntaxError as error:
        what = f"{error.msg} near {_near(plain, error.offset)}"
    except (ValueError, RecursionError, MemoryError):
        what = "it is nested too deep or holds characters that have no meaning"  # Python's parser gives up so
    raise ExpressionSyntaxError(what, _syntax_hint(plain))


def _near(plain: str, offset: int | None) -> str:
    shown = plain[max((offset or 1) - 1, 0) :][:20]
    return repr(shown or plain[-20:])


def _syntax_hint(plain: str) -> str:
    if re.search(r"\.(?:from|in|is|if|not|and|or|class|import|as|with|for|def)\b", plain):
        return 'write a key that is a word of the language in brackets: `x["from"]`'
    return EXAMPLE
