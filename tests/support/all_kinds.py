"""Workflow files that use every kind of step, each leaving its mark; see `tests.support.durability`."""

from __future__ import annotations

from typing import Any

FX = "fx:{}".format

HELD = """
name: held
inputs: {server: {type: string, required: true}}
steps:
  - {name: first, type: python, call: "effects:work", args: {run: "${run.id}", name: first}}
  - name: together
    output: all
    parallel:
      - name: program
        type: run
        command: [sh, effect.sh]
        env: {RUN: "${run.id}", NAME: program, HOLD: "true", SECONDS_: "0"}
      - name: code
        type: script
        inputs: {run_id: "${run.id}"}
        code: |
          import effects
          result = effects.work(run_id, "code", hold=True)
      - {name: call, type: python, call: "effects:work", args: {run: "${run.id}", name: call, hold: true}}
      - {name: here, type: python, isolate: false, call: "effects:work", args: {run: "${run.id}", name: here, hold: true}}
      - {name: command, type: cli, command: effect, argv: ["${run.id}", command], args: {hold: true}}
      - {name: request, type: http, url: "${server}/${run.id}/request?hold", allow_private: true}
      - {name: message, type: wait, wait: {message: go}}
      - name: simple
        foreach: {items: [[a, false], [b, false], [c, true], [d, true], [e, false]], max_concurrent: 2, key: "${item[0]}"}
        steps:
          - {name: item, type: python, call: "effects:work", args: ["${run.id}", "simple.${item[0]}", "${item[1]}"]}
      - name: several
        foreach: {items: [[a, false], [b, true], [c, true], [d, false]], max_concurrent: 2}
        steps:
          - {name: one, type: python, call: "effects:work", args: ["${run.id}", "several.${item[0]}.one"]}
          - {name: two, type: python, call: "effects:work", args: ["${run.id}", "several.${item[0]}.two", "${item[1]}"]}
        collect: {one: "${steps.one}", two: "${steps.two}"}
      - name: choice
        switch:
          on: "1 + 1"
          cases:
            2:
              - {name: before, type: python, call: "effects:work", args: ["${run.id}", choice.before]}
              - {name: chosen, type: python, call: "effects:work", args: ["${run.id}", choice.chosen, true]}
      - name: other
        workflow: other.yaml
        inputs: {word: held}
  - {name: told, type: emit, stream: told, value: "${all.call}"}
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {all: "${all}", told: "${steps.told}"}
"""

OTHER = """
name: other
inputs: {word: {type: string}}
steps:
  - {name: start, type: python, call: "effects:work", args: ["${run.id}", other.start]}
  - {name: slow, needs: [start], type: python, call: "effects:work", args: ["${run.id}", other.slow, true]}
  - name: rows
    needs: [start]
    foreach: {items: [[a, true], [b, false]], max_concurrent: 2}
    steps:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "other.rows.${item[0]}.one"]}
      - {name: two, type: python, call: "effects:work", args: ["${run.id}", "other.rows.${item[0]}.two", "${item[1]}"]}
  - {name: free, needs: [], type: python, call: "effects:work", args: ["${run.id}", other.free, true]}
  - {name: end, needs: [slow, rows], type: python, call: "effects:work", args: ["${run.id}", other.end]}
outputs: {word: "${word}", end: "${steps.end}", rows: "${steps.rows}"}
"""

HELD_AT_WORK = [
    *("program", "code", "call", "here", "command", "request"),
    *("simple.c", "simple.d", "several.b.two", "several.c.two", "choice.chosen"),
    *("other.slow", "other.rows.a.two", "other.free"),
]
"""Effects that are in the middle when nothing in the workflow `held` goes on any more."""

HELD_EFFECTS = [
    "first",
    *HELD_AT_WORK,
    *(f"simple.{item}" for item in "abe"),
    *(f"several.{item}.one" for item in "abcd"),
    *(f"several.{item}.two" for item in "ad"),
    "choice.before",
    "other.start",
    *(f"other.rows.{item}.one" for item in "ab"),
    "other.rows.b.two",
    "other.end",
    "last",
]
"""Every effect of the workflow `held`."""

HELD_OUTPUTS: dict[str, Any] = {
    "all": {
        "program": {"stdout": FX("program"), "exit_code": 0, "stderr": ""},
        "code": FX("code"),
        "call": FX("call"),
        "here": FX("here"),
        "command": {"done": FX("command")},
        "request": {"status": 200, "body": {"done": FX("request")}},
        "message": "went",
        "simple": [FX(f"simple.{item}") for item in "abcde"],
        "several": [{"one": FX(f"several.{item}.one"), "two": FX(f"several.{item}.two")} for item in "abcd"],
        "choice": FX("choice.chosen"),
        "other": {
            "word": "held",
            "end": FX("other.end"),
            "rows": [FX(f"other.rows.{item}.two") for item in "ab"],
        },
    },
    "told": FX("call"),
}
"""What the workflow `held` gives."""

EVERYTHING = """
name: everything
inputs: {server: {type: string, required: true}}
steps:
  - name: program
    type: run
    command: [sh, effect.sh]
    env: {RUN: "${run.id}", NAME: program, SECONDS_: "0.1"}
  - name: code
    type: script
    inputs: {run_id: "${run.id}"}
    code: |
      import effects
      result = effects.work(run_id, "code")
  - {name: here, type: python, isolate: false, call: "effects:work", args: ["${run.id}", here]}
  - {name: command, type: cli, command: effect, argv: ["${run.id}", command]}
  - {name: request, type: http, url: "${server}/${run.id}/request", allow_private: true, output: answer}
  - {name: pause, type: wait, wait: {for: 0.2s}}
  - name: simple
    foreach: {items: [a, b, c, d, e, f, g, h], max_concurrent: 3}
    steps:
      - {name: item, type: python, call: "effects:work", args: ["${run.id}", "simple.${item}"]}
  - name: several
    foreach: {items: [a, b, c, d, e, f], as: row, max_concurrent: 3, key: "${row}"}
    steps:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "several.${row}.one"]}
      - name: inner
        foreach: {items: [x, y], as: letter}
        steps:
          - {name: leaf, type: python, call: "effects:work", args: ["${run.id}", "several.${row}.${letter}"]}
  - name: together
    parallel:
      - {name: left, type: python, call: "effects:work", args: ["${run.id}", left]}
      - name: choice
        switch:
          on: "len('abc')"
          cases:
            3:
              - {name: chosen, type: python, call: "effects:work", args: ["${run.id}", choice.a]}
              - {name: then, type: python, call: "effects:work", args: ["${run.id}", choice.b]}
      - {name: deeper, workflow: graph.yaml, inputs: {word: deep}}
      - {name: tell, type: emit, stream: told, value: once}
  - name: tried
    timeout: 10m
    retry: {max_attempts: 4, delay: 100ms}
    parallel:
      - name: one
        retry: {max_attempts: 2, delay: 100ms}
        foreach: {items: [a, b, c, d], max_concurrent: 2, key: "${item}"}
        steps:
          - name: item
            type: run
            command: [sh, -c, 'if [ "$NAME" = tried.c ] && mkdir "tried-$RUN" 2>/dev/null; then exit 1; fi; . ./effect.sh']
            env: {RUN: "${run.id}", NAME: "tried.${item}", SECONDS_: "0.05"}
      - name: two
        retry: {max_attempts: 2, delay: 100ms}
        foreach: {items: [a, b, c], max_concurrent: 2, key: "${item}"}
        steps:
          - name: fail
            type: run
            command: [sh, -c, '[ $ITEM != c ] || ! mkdir "again-$RUN" 2>/dev/null']
            env: {RUN: "${run.id}", ITEM: "${item}"}
          - {name: one, type: python, call: "effects:work", args: ["${run.id}", "again.${item}"]}
  - {name: last, type: python, call: "effects:work", args: ["${run.id}", last]}
outputs: {steps: "${steps}", answer: "${answer.body}"}
"""

GRAPH = """
name: graph
inputs: {word: {type: string, default: top}}
steps:
  - {name: a, needs: [], type: python, call: "effects:work", args: ["${run.id}", "${word}.a"]}
  - {name: b, needs: [], type: python, call: "effects:work", args: ["${run.id}", "${word}.b"]}
  - {name: c, needs: [a], type: python, call: "effects:work", args: ["${run.id}", "${word}.c"]}
  - name: d
    needs: [a, b]
    foreach: {items: [x, y, z], max_concurrent: 2}
    steps:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "${word}.d.${item}.one"]}
      - {name: two, type: python, call: "effects:work", args: ["${run.id}", "${word}.d.${item}.two"]}
  - {name: e, needs: [b], type: python, call: "effects:work", args: ["${run.id}", "${word}.e"]}
  - {name: f, needs: [d, e], type: python, call: "effects:work", args: ["${run.id}", "${word}.f"]}
  - name: g
    needs: [c]
    parallel:
      - {name: one, type: python, call: "effects:work", args: ["${run.id}", "${word}.g.one"]}
      - {name: two, type: python, call: "effects:work", args: ["${run.id}", "${word}.g.two"]}
  - {name: h, needs: [f, g], type: python, call: "effects:work", args: ["${run.id}", "${word}.h"]}
outputs: {steps: "${steps}"}
"""


def graph_effects(word: str) -> list[str]:
    """The effects of the workflow `graph`."""
    names = [*"abcefh", "g.one", "g.two", *(f"d.{item}.{step}" for item in "xyz" for step in ("one", "two"))]
    return [f"{word}.{name}" for name in names]


EVERYTHING_EFFECTS = [
    *("program", "code", "here", "command", "request", "left", "choice.a", "choice.b", "last"),
    *(f"simple.{item}" for item in "abcdefgh"),
    *(f"several.{item}.{part}" for item in "abcdef" for part in ("one", "x", "y")),
    *(f"tried.{item}" for item in "abcd"),
    *(f"again.{item}" for item in "abc"),
    *graph_effects("deep"),
]
"""Every effect of the workflow `everything`."""
