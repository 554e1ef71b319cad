"""The shipped workflows that read sites do their job: gap analysis and weekly digest."""

from __future__ import annotations

import re

from tests.support.canned import Canned
from tests.support.cli import Kurt
from tests.support.site import Page, page
from tests.support.templates import DOCS, NEW, OTHERS, OURS, THEIRS, asking, copied, is_shown, site_of

BRIEF = {
    "title": "Check the signature of a webhook",
    "meta_description": "How to check that a webhook comes from us, with code, and what to do when the key has been rotated.",
    "outline": [
        {
            "heading": "What is signed",
            "answers": "Which bytes the signature is made of, and by which key.",
        },
        {
            "heading": "Check it",
            "answers": "Code for three languages, with the comparison in constant time.",
        },
        {"heading": "While a key is rotated", "answers": "Why two signatures are sent for a day."},
    ],
    "questions": ["How do I know that a webhook is real?"],
}
ERRORS_BRIEF = {
    "title": "Errors, and which to try again",
    "meta_description": "All error codes with their causes, which requests may be sent again, and how long to wait before that.",
    "outline": [
        {
            "heading": "The form of an error",
            "answers": "Status, code and message, and which of them to rely on.",
        },
        {"heading": "All codes", "answers": "A table: code, cause, what to do."},
        {"heading": "Trying again", "answers": "Which codes pass by themselves, and how long to wait."},
    ],
    "questions": ["May I send a request again after an error?"],
    "links": [],
}


def gap_answers(theirs: str, ours: str) -> Canned:
    topics = {
        "Rotating keys": "key rotation",
        "Limits": "key limits",
        "Webhooks": "webhook signatures",
        "Errors": "error codes",
    }
    gaps = [
        {
            "topic": "error codes",
            "kind": "missing",
            "pages": [f"{theirs}/errors.html"],
            "nearest": None,
            "priority": 4,
            "why": "Who integrates has to know which requests may be tried again.",
        },
        {
            "topic": "webhook signatures",
            "kind": "thin",
            "pages": [f"{theirs}/webhooks.html", f"{theirs}/none.html"],
            "nearest": f"{ours}/rotate.html",
            "priority": 5,
            "why": "A webhook that is not checked lets anybody change data.",
        },
        {
            "topic": "made up",
            "kind": "missing",
            "pages": [f"{theirs}/none.html"],
            "nearest": None,
            "priority": 5,
            "why": "-",
        },
    ]
    return Canned(
        [
            *(
                ((f"Title: {title}\n",), {"topics": [{"topic": topic, "depth": "page"}]})
                for title, topic in topics.items()
            ),
            (("Which topics do readers find there",), {"gaps": gaps}),
            (
                ("Write a brief", "webhook signatures"),
                {**BRIEF, "links": [f"{ours}/rotate.html", f"{theirs}/webhooks.html"]},
            ),
            (("Write a brief", "error codes"), ERRORS_BRIEF),
        ]
    )


def test_gap_analysis(kurt: Kurt) -> None:
    template = "gap-analysis"
    file = copied(kurt, template)
    with site_of(dict(OURS)) as ours, site_of(dict(THEIRS)) as theirs:
        model = gap_answers(theirs.url, ours.url)
        with asking(kurt, model) as server:
            given = (
                f"own={ours.url}",
                f"competitors=[{theirs.url}]",
                "allow_private=true",
            )
            command = ("workflows", "run", file, *(word for one in given for word in ("--input", one)))
            done = kurt.json(*command, limit=120)
            assert [(gap["topic"], gap["nearest"]) for gap in done["outputs"]["gaps"]] == [
                ("webhook signatures", f"{ours.url}/rotate.html"),
                ("error codes", None),
            ]
            assert server.delivered == 7
            ours.pages["/limits.html"] = page(
                "Limits", "A project has at most 50 keys.", "More can be had from support."
            )
            kurt.json(*command, limit=120)
            again = model.prompts[7:]
            assert [prompt.splitlines()[0] for prompt in again if prompt.startswith("Title:")] == [
                "Title: Limits"
            ]
        is_shown(kurt, template, "gap-analysis.md", (ours, DOCS), (theirs, OTHERS))


def test_nothing_of_ones_own_is_an_error(kurt: Kurt) -> None:
    file = copied(kurt, "gap-analysis")
    given = ("own=http://127.0.0.1:9", "competitors=[content]", "allow_private=true")
    failed = kurt(
        "workflows", "run", file, "--mock-llm", *(word for one in given for word in ("--input", one)), code=1
    )
    assert "nothing of yours could be read" in failed.stderr


DIGEST = Canned(
    [
        (
            ("Keys that expire\n",),
            {
                "summary": "Keys can have a date after which they are refused with `key_expired`. The date is given when a key is made.",
                "matters": "Who rotates keys by hand can stop doing so.",
                "topic": "keys",
            },
        ),
        (
            ("Limits\n",),
            {
                "summary": "A project has at most 50 keys, up from 20.",
                "matters": "Large teams need one project less.",
                "topic": "limits",
            },
        ),
        (
            ("These pages are new", "Keys that expire"),
            lambda prompt: {
                "headline": "Keys expire by themselves",
                "summary": "Keys can be given a date, and a project may have more of them.",
                "first": re.findall(r"http://[\d.:]+/expire.html", prompt)[:1],
            },
        ),
    ]
)


def test_weekly_digest(kurt: Kurt) -> None:
    template = "weekly-digest"
    file = copied(kurt, template)
    with site_of(dict(OURS)) as site, asking(kurt, DIGEST) as server:
        given = (f"sources=[{site.url}]", "allow_private=true")
        inputs = [word for one in given for word in ("--input", one)]
        kurt.json("workflows", "run", file, *inputs, "--input", "date=2026-11-16", limit=120)
        before = server.delivered
        quiet = kurt.json("workflows", "run", file, *inputs, "--input", "date=2026-11-17", limit=120)
        assert server.delivered == before  # nothing is new: no model is asked
        assert "Nothing is new this week." in (kurt.project / quiet["outputs"]["digest"]).read_text()
        site.pages["/limits.html"] = page(
            "Limits", "A project has at most 50 keys.", "More can be had from support."
        )
        site.pages["/expire.html"] = NEW
        urls = "".join(f"<url><loc>{site.url}{path}</loc></url>" for path in (*OURS, "/expire.html"))
        site.pages["/sitemap.xml"] = Page(f"<urlset>{urls}</urlset>".encode(), content_type="application/xml")
        done = kurt.json("workflows", "run", file, *inputs, "--input", "date=2026-11-23", limit=120)
        assert done["outputs"]["headline"] == "Keys expire by themselves"
        assert server.delivered == before + 3
        is_shown(kurt, template, "digests/2026-11-23.md", (site, DOCS))


def test_the_digest_by_its_schedule(kurt: Kurt) -> None:
    file = copied(kurt, "weekly-digest")
    with asking(kurt, DIGEST) as server:
        (made,) = kurt.json("schedules", "create", file)
        assert (made["cron"], made["timezone"], made["catch_up"]) == ("0 7 * * 1", "Europe/Paris", True)
        started = kurt.json("schedules", "trigger", "weekly-digest")
        done = kurt.json("workflows", "wait", started["run_id"], limit=100)
        assert server.delivered == 2
    assert re.fullmatch(r"digests/\d{4}-\d\d-\d\d\.md", done["outputs"]["digest"])
    assert "content" in (kurt.project / done["outputs"]["digest"]).read_text()
