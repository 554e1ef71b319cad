"""From what was brought to a text: runs in worker processes, since what was brought may be hostile."""

from __future__ import annotations

import base64
import json
from typing import Any

from kurt.content.markdown import clean, first_heading, front_matter
from kurt.errors import DataError

_LONGEST = 500


def convert(payload: dict[str, Any]) -> dict[str, Any]:
    """Turn a body into Markdown and facts.

    Args:
        payload: `kind`, `data` in base64, `url`, `charset`.

    Returns:
        `markdown`, and `title`, `author`, `published`, `language`, `description` where they are known.

    Raises:
        DataError: it has no text.
        UsageError: what reads such files is not installed.
    """
    data = base64.b64decode(payload["data"])
    kind = payload["kind"]
    if kind == "html":
        from kurt.workflows.fetch.pages import extract_page  # noqa: PLC0415 - a worker loads what its tasks need

        return extract_page(data, url=payload["url"], charset=payload["charset"]).to_json()
    found = _CONVERTERS[kind](data, payload)
    if not found["markdown"].strip():
        raise DataError("the document has no text")
    return found


def _markdown(data: bytes, payload: dict[str, Any]) -> dict[str, Any]:
    facts, text = front_matter(_decoded(data, payload))
    named = {
        "title": facts.get("title") or first_heading(text),
        "author": facts.get("author") or facts.get("authors"),
        "published": facts.get("published") or facts.get("date"),
        "language": facts.get("language") or facts.get("lang"),
        "description": facts.get("description") or facts.get("summary"),
    }
    return {"markdown": clean(text), **{name: _line(value) for name, value in named.items()}}


def _text(data: bytes, payload: dict[str, Any]) -> dict[str, Any]:
    return {"markdown": clean(_decoded(data, payload))}


def _decoded(data: bytes, payload: dict[str, Any]) -> str:
    from kurt.workflows.fetch.charsets import decode  # noqa: PLC0415 - see above

    return decode(data, payload["charset"])


def _fragment(data: bytes, payload: dict[str, Any]) -> dict[str, Any]:
    """HTML that is all text: what a CMS has in a field."""
    from lxml import html  # noqa: PLC0415 - see above

    from kurt.workflows.fetch import rendering, subtrees  # noqa: PLC0415 - see above

    text = _decoded(data, payload)
    if not text.strip():
        return {"markdown": ""}
    part = html.fromstring(f"<div>{text}</div>")
    subtrees.prune(part)
    rendering.settle_links(part, payload["url"])
    return {"markdown": clean(rendering.render(part, payload["url"]))}


def _notebook(data: bytes, payload: dict[str, Any]) -> dict[str, Any]:
    del payload
    try:
        notebook = json.loads(data)
        cells = [(cell["cell_type"], _joined(cell.get("source"))) for cell in notebook["cells"]]
        language = str(notebook.get("metadata", {}).get("kernelspec", {}).get("language", ""))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the notebook cannot be read: it is no JSON: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError("the notebook cannot be read: it is not made of cells with their kinds") from error
    parts = [
        f"```{language}\n{text}\n```" if kind == "code" else text for kind, text in cells if text.strip()
    ]
    markdown = clean("\n\n".join(parts))
    return {"markdown": markdown, "title": first_heading(markdown)}


def _joined(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else str(source or "")


def _pdf(data: bytes, payload: dict[str, Any]) -> dict[str, Any]:
    del payload
    from kurt.workflows.fetch.pdf import read_pdf  # noqa: PLC0415 - see above

    return read_pdf(data)


def _docx(data: bytes, payload: dict[str, Any]) -> dict[str, Any]:
    from kurt.workflows.fetch.docx import read_docx  # noqa: PLC0415 - see above

    found = read_docx(data, payload["url"])
    return {name: value if name == "markdown" else _line(value) for name, value in found.items()}


def _line(value: Any) -> str | None:
    if isinstance(value, list):
        value = "; ".join(str(one) for one in value)
    return " ".join(str(value).split())[:_LONGEST] or None if value is not None else None


_CONVERTERS = {
    "markdown": _markdown,
    "text": _text,
    "fragment": _fragment,
    "notebook": _notebook,
    "pdf": _pdf,
    "docx": _docx,
}
