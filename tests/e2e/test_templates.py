"""Each shipped workflow does its job: over sites on loopback, a model that gives canned answers and a stand-in for Reddit.

What the pages in docs/templates/ show as results is what these runs write.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.canned import Canned
from tests.support.cli import Kurt
from tests.support.reddit import post, stand_in
from tests.support.site import Page
from tests.support.templates import DOCS, NEW, asking, copied, corpus, fetched, is_shown, site_of
from tests.support.waiting import wait_until

FAQ = [
    {
        "question": "Can several processes write to the same SQLite database at once?",
        "cluster": "Concurrency",
        "variants": ["multiple writers sqlite", "Is SQLite single writer?"],
    },
    {
        "question": "How do I back up an SQLite database that is in use?",
        "cluster": "Backups",
        "variants": ["Can I cp a live database?"],
    },
    {
        "question": "Which hosting companies offer SQLite?",
        "cluster": "Hosting",
        "variants": [],
    },
]


def faq_answers(url: str) -> Canned:
    return Canned(
        [
            (("Choose at most",), {"questions": FAQ}),
            (
                ("Question: Can several",),
                {
                    "answered": True,
                    "answer": "SQLite lets one process write to a database at a time. In WAL mode readers go on while it"
                    " writes, because readers do not block writers and a writer does not block readers.",
                    "sources": [f"{url}/wal.html", f"{url}/made-up.html"],
                },
            ),
            (
                ("Question: How do I back up",),
                {
                    "answered": True,
                    "answer": "The SQLite Online Backup API copies a database that is in use. It reads in small steps, so"
                    " that other connections can go on reading and writing between them.",
                    "sources": [f"{url}/backup.html"],
                },
            ),
            (("Question: Which hosting",), {"answered": False, "answer": "", "sources": []}),
        ]
    )


def test_answer_engine_optimisation(kurt: Kurt) -> None:
    template = "answer-engine-optimisation"
    file = copied(kurt, template)
    posts = [post("Can I cp a live SQLite database?", votes=40, comments=12, group="sqlite")]
    with site_of(corpus("wal", "backup")) as site, stand_in(posts) as reddit:
        kurt.environ["KURT_REDDIT__BASE_URL"] = reddit.url
        fetched(kurt, site)
        model = faq_answers(site.url)
        with asking(kurt, model) as server:
            given = [
                "topic=SQLite in production",
                "subreddits=[sqlite]",
                "questions=[Which hosting companies offer SQLite?]",
            ]
            done = kurt.json("workflows", "run", file, *(word for one in given for word in ("--input", one)))
            assert server.delivered == 4
        assert "Can I cp a live SQLite database?" in model.prompts[0]
        assert "Write-Ahead Logging" in model.prompts[0]
        assert "Passages" in model.prompts[1]
        assert [entry["question"] for entry in done["outputs"]["questions"]] == [
            one["question"] for one in FAQ[:2]
        ]
        assert [one["question"] for one in done["outputs"]["open"]] == [FAQ[2]["question"]]
        is_shown(kurt, template, "faq.md", (site, DOCS))
        is_shown(kurt, template, "faq.jsonld", (site, DOCS))
    is_faq_page(json.loads((kurt.project / "faq.jsonld").read_text()))


def is_faq_page(found: dict[str, Any]) -> None:
    """What schema.org and search engines require of a FAQPage."""
    assert (found["@context"], found["@type"]) == ("https://schema.org", "FAQPage")
    assert found["mainEntity"]
    for question in found["mainEntity"]:
        assert question["@type"] == "Question"
        assert question["name"].strip()
        assert question["acceptedAnswer"]["@type"] == "Answer"
        assert question["acceptedAnswer"]["text"].strip()
        assert set(question) == {"@type", "name", "acceptedAnswer"}


def test_an_answer_that_names_no_passage_is_no_answer(kurt: Kurt) -> None:
    file = copied(kurt, "answer-engine-optimisation")
    with site_of(corpus("wal")) as site:
        fetched(kurt, site)
        made_up = {"answered": True, "answer": "Yes, always.", "sources": ["https://example.com/other"]}
        with asking(kurt, Canned([(("Choose at most",), {"questions": FAQ[:1]}), (("Question:",), made_up)])):
            done = kurt.json("workflows", "run", file, "--input", "topic=SQLite")
    assert done["outputs"]["questions"] == []
    assert [one["question"] for one in done["outputs"]["open"]] == [FAQ[0]["question"]]
    assert not (kurt.project / "faq.jsonld").exists()


def test_without_documents_it_says_what_to_do(kurt: Kurt) -> None:
    file = copied(kurt, "answer-engine-optimisation")
    failed = kurt("workflows", "run", file, "--input", "topic=SQLite", "--mock-llm", code=1)
    assert "run `kurt content map` and `kurt content fetch` first" in failed.stderr


REVIEW = {
    "question": "How do I make a backup of a running SQLite database?",
    "answer": "The SQLite Online Backup API copies a database while it is in use: it locks the source only while it reads a"
    " few pages, so that others go on working.",
    "quote": "The Online Backup API was created to address these concerns.",
    "unsupported": [
        {
            "quote": "This procedure works well in many scenarios and is usually very fast.",
            "remedy": "Say how fast, for which size.",
        },
        {"quote": "It is the fastest in the world.", "remedy": "A benchmark."},
    ],
    "headings": [
        {
            "now": "Example 1: Loading and Saving In-Memory Databases",
            "better": "How do I load a database into memory, and save it?",
        },
        {"now": "A heading that is not there", "better": "What?"},
    ],
    "missing": [
        "What happens to a backup when the source is written to meanwhile, in one sentence at the top."
    ],
}


def test_citation_optimisation(kurt: Kurt) -> None:
    template = "citation-optimisation"
    file = copied(kurt, template)
    with site_of(corpus("backup")) as site:
        fetched(kurt, site)
        with asking(kurt, Canned([(("Title: ",), REVIEW)])) as server:
            command = ("workflows", "run", file, "--input", "publisher=Example")
            done = kurt.json(*command)
            assert kurt.json(*command)["outputs"] == done["outputs"]
            assert server.delivered == 1  # the second run asked for nothing
        (found,) = done["outputs"]["pages"]
        assert [one["quote"] for one in found["review"]["unsupported"]] == [REVIEW["unsupported"][0]["quote"]]
        assert [one["now"] for one in found["review"]["headings"]] == [REVIEW["headings"][0]["now"]]
        is_shown(kurt, template, "citations.md", (site, DOCS))
    assert found["jsonld"]["@type"] == "Article"
    assert 0 < len(found["jsonld"]["headline"]) <= 110
    assert found["jsonld"]["author"]["name"] == "Example"


def test_a_quote_that_is_not_in_the_page_is_told(kurt: Kurt) -> None:
    file = copied(kurt, "citation-optimisation")
    with site_of(corpus("backup")) as site:
        fetched(kurt, site)
        with asking(kurt, Canned([(("Title: ",), {**REVIEW, "quote": "Nobody wrote this."})])):
            kurt.json("workflows", "run", file)
    assert "the page does not say it in these words" in (kurt.project / "citations.md").read_text()


LONG = "Keys can expire now. " * 40
POSTS = {
    "linkedin": "Keys can expire now.\n\nGive a key a date when you make it; what uses it afterwards gets a 401 with the code"
    " key_expired.\n\nNo more reminders in the calendar. #APIs #Security",
    "bluesky": "API keys can expire now: give them a date when you make them. For everybody who has a calendar full of reminders.",
    "mastodon": "API keys can expire now. What uses one afterwards gets a 401 with the code key_expired. #ApiSecurity #DevOps",
    "x": LONG,
}
SHORTER = (
    "API keys can expire now: give them a date when you make them, and forget the reminder in your calendar."
)


def posts_answers() -> Canned:
    return Canned(
        [
            (("This post for x has",), {"text": SHORTER}),
            *(((f"Write a post for {name} ",), {"text": text}) for name, text in POSTS.items()),
        ]
    )


def test_social_posts(kurt: Kurt) -> None:
    template = "social-posts"
    file = copied(kurt, template)
    with site_of({"/expire.html": NEW}) as site, asking(kurt, posts_answers()):
        fetched(kurt, site)
        given = (f"document={site.url}/expire.html", f"webhook={site.url}/hook", "allow_private=true")
        inputs = [word for one in given for word in ("--input", one)]
        kurt("workflows", "run", file, *inputs, "--background", "--run-id", "posts-1")
        asked = approval_of(kurt, "posts-1")
        assert SHORTER in asked["message"]
        assert not (kurt.project / "posts.json").exists()
        site.pages["/hook"] = Page(b"{}", content_type="application/json")
        edits = "edits={linkedin: 'Our own words.'}"
        kurt(
            "workflows",
            "approve",
            "posts-1",
            "--by",
            "ana",
            "--input",
            edits,
            "--input",
            "platforms=[linkedin, bluesky, x]",
        )
        done = kurt.json("workflows", "wait", "posts-1", limit=60)
        assert done["outputs"]["approved"] is True
        (sent,) = [json.loads(hit.body) for hit in site.hits if hit.path == "/hook"]
        is_shown(kurt, template, "posts.md", (site, DOCS))
        written = json.loads((kurt.project / "posts.json").read_text())
        assert sent["posts"] == written
        link = f"{site.url}/expire.html"
        assert [one["platform"] for one in written] == ["linkedin", "bluesky", "x"]
        assert written[0]["text"] == f"Our own words.\n\n{link}"
        within_limits(written, link)


def within_limits(posts: list[dict[str, str]], link: str) -> None:
    """The limits of the platforms, as they count."""
    limits = {"linkedin": 3000, "threads": 500, "mastodon": 500, "bluesky": 300, "x": 280}
    for one in posts:
        text = one["text"].replace(link, "x" * 23) if one["platform"] in {"mastodon", "x"} else one["text"]
        assert len(text) <= limits[one["platform"]], one


def approval_of(kurt: Kurt, run_id: str) -> dict[str, Any]:
    """What a run asks a person, once it does."""

    def asked() -> dict[str, Any]:
        run = kurt.json("workflows", "status", run_id)
        assert run["status"] not in {"failed", "succeeded"}, run
        return run["waiting_for"] or {}

    return wait_until(asked, limit=30)


def test_posts_that_are_rejected_are_not_published(kurt: Kurt) -> None:
    file = copied(kurt, "social-posts")
    with site_of({"/expire.html": NEW}) as site, asking(kurt, posts_answers()):
        fetched(kurt, site)
        given = (f"document={site.url}/expire.html", f"webhook={site.url}/hook", "allow_private=true")
        inputs = [word for one in given for word in ("--input", one)]
        kurt("workflows", "run", file, *inputs, "--background", "--run-id", "posts-1")
        approval_of(kurt, "posts-1")
        kurt("workflows", "reject", "posts-1", "--comment", "too loud")
        done = kurt.json("workflows", "wait", "posts-1", limit=60)
        assert done["outputs"] == {"approved": False, "posts": None, "failed": []}
        assert not [hit for hit in site.hits if hit.path == "/hook"]
    assert not (kurt.project / "posts.json").exists()


ASKED = [
    post(
        "Is WAL safe on NFS?", votes=210, comments=64, group="sqlite", selftext="We want to share a volume."
    ),
    post("Can I put the database on a network drive?", votes=90, comments=30, group="selfhosted"),
    post("How do you back up SQLite while it is in use?", votes=120, comments=41, group="sqlite"),
    post("What is the weirdest thing you have stored in SQLite?", votes=60, comments=88, group="sqlite"),
    post("I wrote a tool", votes=900, comments=3, group="sqlite"),
]
CLUSTERS = [
    {
        "name": "Backups of a live database",
        "intent": "do",
        "question_ids": [ASKED[2]["name"], "t3_unknown"],
        "page_title": "How to back up SQLite while it is in use",
        "must_answer": [
            "Which of three ways to use",
            "What happens to writers meanwhile",
            "How to test a backup",
        ],
    },
    {
        "name": "SQLite on network drives",
        "intent": "choose",
        "question_ids": [ASKED[0]["name"], ASKED[1]["name"]],
        "page_title": "Can SQLite run on NFS or a network drive?",
        "must_answer": ["Why WAL needs shared memory", "What breaks, and how it shows", "What to do instead"],
    },
]


def test_the_pipeline_of_the_founding_document(kurt: Kurt) -> None:
    pytest.importorskip("dspy", reason="the extra dspy is not installed")
    template = "aeo-pipeline"
    file = copied(kurt, template)
    answer = {"reasoning": "Two things are asked for.", "clusters": CLUSTERS}
    said = "".join(
        f"[[ ## {name} ## ]]\n{value if isinstance(value, str) else json.dumps(value)}\n\n"
        for name, value in answer.items()
    )
    model = Canned([((), f"{said}[[ ## completed ## ]]")])
    with stand_in(ASKED) as reddit, asking(kurt, model) as server:
        kurt.environ["KURT_REDDIT__BASE_URL"] = reddit.url
        done = kurt.json("workflows", "run", file, "--input", "subreddits=[sqlite, selfhosted]")
        assert server.delivered == 1
        assert "I wrote a tool" not in model.prompts[0]
        names = [cluster["name"] for cluster in done["outputs"]["clusters"]]
        assert names == ["SQLite on network drives", "Backups of a live database"]
    assert json.loads((kurt.project / "results.json").read_text())["asked"] == 4
    is_shown(kurt, template, "results.md")


def test_nobody_asks_anything(kurt: Kurt) -> None:
    pytest.importorskip("dspy", reason="the extra dspy is not installed")
    file = copied(kurt, "aeo-pipeline")
    with stand_in([]) as reddit:
        kurt.environ["KURT_REDDIT__BASE_URL"] = reddit.url
        assert kurt.json("workflows", "run", file)["outputs"]["clusters"] == []


@pytest.mark.parametrize(
    "template", ["quickstart", "weekly-digest", "answer-engine-optimisation", "citation-optimisation"]
)
def test_without_a_key_it_can_be_tried(kurt: Kurt, template: str) -> None:
    kurt("workflows", "new", "try", "--template", template)
    kurt("content", "map", "--folder", "content")
    kurt("content", "fetch")
    more = ("--input", "topic=keys") if template.startswith("answer") else ()
    done = kurt.json("workflows", "run", "try", "--mock-llm", *more)
    assert done["status"] == "succeeded"
