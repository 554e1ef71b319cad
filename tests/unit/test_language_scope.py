"""References and expressions are checked against what can be there when they are looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.definitions import faults_in

HEAD = """\
inputs: {urls: {type: list, required: true}, mode: {type: string, default: fast}, limit: 10}
secrets: [TOKEN]
env: {LANG: C}
steps:
"""


def messages(folder: Path, steps: str, *, severity: str | None = None) -> list[tuple[str, str]]:
    """Messages and hints for a file with these steps."""
    found = faults_in(folder, HEAD + steps, severity=severity)
    return [(fault.message, fault.hint or "") for fault in found]


GOOD = [
    # inputs, outputs so far, steps, run, env
    "  - {type: cli, command: x, args: {a: '${urls[0].x}', b: '${inputs.mode}', c: '${run.id}', d: '${env.LANG}'}}",
    "  - {name: a, type: cli, command: x, output: o}\n  - {type: cli, command: x, args: {a: '${o.x}', b: '${steps.a}'}}",
    "  - {type: http, url: '${mode}', headers: {A: 'Bearer ${env.TOKEN}'}, when: env.TOKEN != ''}",
    "  - {type: run, command: ['${nope ?? urls}', '${nope.x ?? 1}'], when: 'default(nope, true)'}",
    "  - {type: run, command: 'echo $${HOME} $HOME'}",
    # parallel: a mapping by name; the branches see what was before
    (
        "  - {name: p, parallel: [{name: b1, type: cli, command: '${mode}'}, {name: b2, wait: {for: 1s}}]}\n"
        "  - {type: cli, command: x, args: {a: '${steps.p.b1}', b: '${steps.p}'}}"
    ),
    # foreach: its names, its outputs inside, its value outside
    (
        "  - name: f\n    foreach: {items: '${urls}', as: url, key: '${url.id}-${index}'}\n"
        "    steps:\n      - {name: g, type: cli, command: x, args: {a: '${url}${item}${key}'}, output: page}\n"
        "      - {type: cli, command: x, when: page.ok and steps.g.ok and index > 0}\n"
        "    collect: {t: '${page.title}', i: '${index}', g: '${steps.g}'}\n    output: pages\n"
        "  - {type: cli, command: x, args: {a: '${pages}'}, when: len(steps.f) > 0}"
    ),
    "  - {foreach: {items: {a: 1}}, steps: [{type: emit, event: '${item.key}', value: '${item.value}'}]}",
    # switch, workflow, wait
    (
        "  - {switch: {on: mode, cases: {fast: [{type: cli, command: '${mode}'}]}, default: []}, name: s, output: o}\n"
        "  - {type: cli, command: '${o}', args: {a: '${steps.s}'}}"
    ),
    "  - {type: switch, on: '${mode}', cases: {fast: [{wait: {until: '${run.started_at}'}}]}}",
    "  - {workflow: other, inputs: {a: '${urls}'}}",
    "  - {wait: {until: 'default(inputs.mode, run.started_at)'}}\n  - {type: wait, message: 'go-${run.id}', timeout: 1h}",
    # needs
    (
        "  - {name: a, type: cli, command: x, needs: []}\n  - {name: b, type: cli, command: x, needs: []}\n"
        "  - {name: c, type: cli, command: x, needs: [a, b], args: {x: '${steps.a}', y: '${steps.b}'}}\n"
        "  - {name: d, type: cli, command: x, args: {x: '${steps.a}', y: '${steps.c}'}}"
    ),
    (
        "  - {name: late, type: cli, command: x, needs: [early], args: {x: '${steps.early}'}}\n"
        "  - {name: early, type: cli, command: x, needs: []}"
    ),
    # errors
    "  - {type: cli, command: x, retry: {when: error.status == 503 or run.attempt < 2}}",
    "  - {type: cli, command: x, on_error: {fallback: [{type: cli, command: '${error.message} ${mode}'}]}}",
    (
        "  - {name: a, type: cli, command: x, on_error: {fallback: b}, output: o}\n"
        "  - {name: b, type: cli, command: x, args: {e: '${error.type}'}}\n  - {type: cli, command: '${o}${steps.a}'}"
    ),
]


@pytest.mark.parametrize("steps", GOOD)
def test_what_can_be_there(tmp_path: Path, steps: str) -> None:
    assert messages(tmp_path, steps, severity="error") == []


BAD = [
    ("  - {type: cli, command: '${ulrs}'}", "unknown name `ulrs`", "did you mean `urls`?"),
    ("  - {type: cli, command: x, when: ulrs}", "unknown name `ulrs`", "did you mean `urls`?"),
    ("  - {type: cli, command: x, env: {A: '${nope}'}}", "unknown name `nope`", "in scope are"),
    ("  - {type: cli, command: '${inputs.nope}'}", "there is no input 'nope'", "the inputs are"),
    ("  - {type: cli, command: '${mode.x}'}", "`mode` is a string, it has no parts", "write `mode`"),
    ("  - {type: cli, command: '${run.idd}'}", "`run` has no key 'idd'", "did you mean `id`?"),
    ("  - {type: cli, command: '${env.HOME}'}", "`env` has no 'HOME'", "declare it"),
    ("  - {type: cli, command: '${secrets.TOKEN}'}", "no `secrets` to refer to", "env.TOKEN"),
    ("  - {type: cli, command: '${error.message}'}", "`error` is known only in", "move the step"),
    ("  - {type: cli, command: '${steps.nope}'}", "there is no step 'nope'", "steps that have run"),
    (
        "  - {type: cli, command: '${steps.b}'}\n  - {name: b, type: cli, command: x}",
        "the step 'b' runs later",
        "move it before",
    ),
    (
        "  - {type: cli, command: '${o}'}\n  - {name: b, type: cli, command: x, output: o}",
        "`o` is set by the step 'b': the step 'b' runs later",
        "move it",
    ),
    ("  - {name: a, type: cli, command: '${steps.a}'}", "has no value before it has run", "earlier"),
    (
        "  - {name: a, type: cli, command: x}\n  - {type: cli, command: '${a}'}",
        "unknown name `a`",
        "write `steps.a`",
    ),
    (
        "  - {name: a, type: cli, command: x, needs: []}\n  - {name: b, type: cli, command: '${steps.a}', needs: []}",
        "may not have run yet, since 'b' does not wait for it",
        "add 'a' to the `needs` of 'b'",
    ),
    (
        "  - {parallel: [{name: a, type: cli, command: x}, {name: b, type: cli, command: '${steps.a}'}]}",
        "runs at the same time",
        "take it out of `parallel`",
    ),
    (
        "  - {name: p, parallel: [{name: a, type: cli, command: x, output: o}]}\n  - {type: cli, command: '${o}'}",
        "`o` is set inside the block 'p', and seen only there",
        "write `steps.p.a`",
    ),
    (
        "  - {name: p, parallel: [{name: abc, type: cli, command: x}]}\n  - {type: cli, command: '${steps.p.abd}'}",
        "the block 'p' has no step 'abd'",
        "did you mean `abc`?",
    ),
    (
        (
            "  - {name: f, foreach: {items: [1]}, steps: [{name: g, type: cli, command: x, output: o}]}\n"
            "  - {type: cli, command: '${o}', args: {a: '${steps.g}'}}"
        ),
        "`o` is set inside the block 'f'",
        "give the block an `output`",
    ),
    ("  - {foreach: {items: '${limit}'}, steps: [{wait: {for: 1s}}]}", "is a int, not a list", "list"),
    (
        "  - {foreach: {items: [1], as: u}, steps: [{wait: {for: 1s}}]}\n  - {type: cli, command: '${u}'}",
        "unknown",
        "",
    ),
    (
        "  - {foreach: {items: [1], key: '${uu}', as: u}, steps: [{wait: {for: 1s}}]}",
        "unknown name `uu`",
        "`u`",
    ),
    (
        "  - {foreach: {items: [1]}, steps: [{wait: {for: 1s}}], collect: '${page}'}",
        "unknown name `page`",
        "in scope",
    ),
    ("  - {switch: {on: moed, cases: {a: []}}}", "unknown name `moed`", "did you mean `mode`?"),
    ("  - {wait: {for: '${nope}'}}", "unknown name `nope`", ""),
    ("  - {wait: {until: nope}}", "unknown name `nope`", ""),
    ("  - {workflow: other, inputs: {a: '${nope}'}}", "unknown name `nope`", ""),
    (
        (
            "  - {name: a, type: cli, command: x, on_error: {fallback: b}}\n  - {name: b, type: cli, command: x}\n"
            "  - {type: cli, command: '${steps.b}'}"
        ),
        "the step 'b' runs only instead of another one",
        "fallback",
    ),
    ("  - {workflow: other, inputs: {a: '${env.TOKEN}'}}", "`env.TOKEN` is secret", "only in the fields"),
    ("  - {type: emit, event: e, value: '${env.TOKEN}'}", "`env.TOKEN` is secret", "only in the fields"),
    ("  - {wait: {for: 1s}}\noutputs: {a: '${env}'}", "`env` is secret", "only in the fields"),
    ("  - {wait: {for: 1s}}\noutputs: {a: '${nope}'}", "unknown name `nope`", ""),
]


@pytest.mark.parametrize(("steps", "message", "hint"), BAD)
def test_what_cannot_be_there(tmp_path: Path, steps: str, message: str, hint: str) -> None:
    found = messages(tmp_path, steps, severity="error")
    assert message in found[0][0]
    assert hint in found[0][1]


def test_handlers_are_told_what_may_be_missing(tmp_path: Path) -> None:
    text = """\
        inputs: {mode: fast}
        steps:
          - {name: a, type: cli, command: x, output: o}
        on_error:
          - {type: cli, command: "${error.message} ${mode} ${o ?? 'none'}"}
          - {type: cli, command: "${steps.a} ${o}"}
        finally:
          - {type: cli, command: "${error ?? null} ${nope}"}
        """
    found = [(fault.severity, fault.line, fault.message) for fault in faults_in(tmp_path, text)]
    assert found == [
        ("warning", 6, "`steps.a` is missing if the run failed before it was set"),
        ("warning", 6, "`o` is missing if the run failed before it was set"),
        ("error", 8, "unknown name `nope`"),
    ]


def test_in_the_end_there_may_be_no_error(tmp_path: Path) -> None:
    text = """\
        steps: [{wait: {for: 1s}}]
        finally:
          - {type: cli, command: "${error.message}"}
          - {type: cli, command: "${error}${error.message ?? ''}"}
          - {type: cli, command: "${error.message}", when: error != null}
        """
    (fault,) = faults_in(tmp_path, text)
    assert (fault.severity, fault.line) == ("warning", 3)
    assert "`error.message` is missing where the run has not failed" in fault.message


def test_a_default_makes_an_unknown_name_a_warning(tmp_path: Path) -> None:
    (fault,) = faults_in(tmp_path, HEAD + "  - {type: cli, command: '${ulrs ?? 1}'}")
    assert (fault.severity, fault.message) == ("warning", "unknown name `ulrs`")


def test_names_of_an_outer_list_are_seen_inside(tmp_path: Path) -> None:
    steps = """\
  - {name: a, type: cli, command: x, output: o}
  - name: f
    foreach: {items: [1]}
    steps:
      - name: g
        foreach: {items: '${o}', as: inner}
        steps: [{type: cli, command: x, args: {a: '${o}', b: '${item}', c: '${inner}', d: '${steps.a}'}}]
"""
    assert messages(tmp_path, steps) == []
