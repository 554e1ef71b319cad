"""What a run would do, with the values that are known beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kurt.engine.language.inputs import bind_inputs
from kurt.engine.views.plan import Plan, make_plan
from tests.support.definitions import BUILT_IN, loaded, written
from tests.unit.test_language_definition import RICH


def plan_of(folder: Path, text: str, **inputs: Any) -> Plan:
    """The plan of a file with these inputs."""
    workflow = loaded(folder, text)
    bound = bind_inputs(workflow.definition, inputs)
    return make_plan(workflow.definition, bound, kinds=BUILT_IN, subworkflows=workflow.subworkflows)


def test_what_is_known_is_put_in(tmp_path: Path) -> None:
    text = """\
        name: pages
        inputs: {urls: {type: list}, mode: fast, n: 2}
        env: {LANG: "${mode}"}
        secrets: [TOKEN]
        steps:
          - {name: a, type: http, url: "${urls[0]}", headers: {A: "Bearer ${env.TOKEN}"}, output: page, env: {M: "${mode}"}}
          - {name: b, type: cli, command: x, args: {p: "${page.body}", l: "${env.LANG}"}, when: n > 1, timeout: 5m}
          - {name: c, type: cli, command: x, when: mode == 'slow', output: o, retry: {max_attempts: 3}}
          - {name: d, type: cli, command: x, args: {o: "${o}", c: "${steps.c}"}, when: page.ok}
          - {name: e, type: script, code: "print('${mode}')", when: env.TOKEN == '***'}
        outputs: {mode: "${mode}", page: "${page}"}
        """
    plan = plan_of(tmp_path, text, urls=["u"])
    a, b, c, d, e = plan.to_json()["steps"]
    assert a["fields"] == {"url": "u", "headers": {"A": "Bearer ***"}}
    assert a["env"] == {"M": "fast"}
    assert b["fields"]["args"] == {"p": "${page.body}", "l": "fast"}
    assert (b["when"], b["after"], b["timeout"]) == ({"expression": "n > 1", "value": True}, ["a"], 300)
    assert (c["skipped"], c["when"]["value"], "fields" in c) == (True, False, False)
    assert d["fields"]["args"] == {"o": None, "c": None}
    assert d["when"]["value"] is None
    assert e["fields"] == {"code": "print('${mode}')"}
    assert e["when"]["value"] is None
    assert plan.to_json()["outputs"] == {"mode": "fast", "page": "${page}"}
    assert json.loads(json.dumps(plan.to_json())) == plan.to_json()
    assert plan.lines() == [
        "pages (flow.yaml)",
        '  input urls = ["u"]',
        "  input mode = fast",
        "  input n = 2",
        "1. a: http, sets page",
        "   url: u",
        '   headers: {"A": "Bearer ***"}',
        "2. b: cli, when n > 1 (true), at most 5m",
        "   command: x",
        '   args: {"p": "${page.body}", "l": "fast"}',
        "3. c: cli, when mode == 'slow' (false, skipped), up to 3 attempts, sets o",
        "4. d: cli, when page.ok (not known yet)",
        "   command: x",
        '   args: {"o": null, "c": null}',
        "5. e: script, when env.TOKEN == '***' (not known yet)",
        "   code: print('${mode}')",
        "output mode = fast",
        "output page = ${page}",
    ]


def test_blocks(tmp_path: Path) -> None:
    text = """\
        inputs: {urls: [a, b], item: outer, mode: full}
        steps:
          - name: each
            foreach: {items: "${urls}", as: url, key: "k-${url}", max_concurrent: 2}
            steps: [{name: get, type: http, url: "${url}", params: {i: "${item}", m: "${mode}"}}]
          - {name: late, foreach: {items: "${steps.each}"}, steps: [{type: cli, command: x}]}
          - {name: s, switch: {on: mode, cases: {fast: [{type: cli, command: x}], full: [{type: cli, command: y}]}}}
          - {name: p, parallel: [{name: one, wait: {for: 10m}}, {name: two, wait: {message: go}}]}
          - {name: g, type: cli, command: x, on_error: {fallback: h}, needs: [each]}
          - {name: h, type: cli, command: x}
          - {name: i, type: cli, command: x, on_error: {fallback: [{type: cli, command: z}]}}
        finally: [{type: cli, command: "${mode}"}]
        on_error: [{type: cli, command: x}]
        """
    plan = plan_of(tmp_path, text)
    each, late, s, p, g, h, i = plan.to_json()["steps"]
    assert each["fan_out"] == {
        "items": 2,
        "max_concurrent": 2,
        "on_item_error": "fail",
        "keys": ["k-a", "k-b"],
    }
    assert each["steps"][0]["path"] == "each[k-${url}].get"
    assert each["steps"][0]["fields"]["params"] == {"i": "${item}", "m": "full"}
    assert late["fan_out"]["items"] is None
    assert (s["takes"], sorted(s["cases"])) == ("full", ["fast", "full"])
    assert [step["after"] for step in p["steps"]] == [[], []]
    assert p["steps"][0]["wait"] == {"for": "10m"}
    assert (g["after"], g["on_error"]) == (["each"], {"fallback": "h"})
    assert h["only_as_fallback"] is True
    assert i["on_error"]["fallback"][0]["fields"] == {"command": "z"}
    assert i["after"] == ["p", "g"]
    assert plan.to_json()["finally"][0]["path"] == "finally.step1"
    lines = plan.lines()
    assert "1. each: foreach over 2 items, at most 2 at once" in lines
    assert "   case full (taken):" in lines
    assert "if the run fails:" in lines
    assert "in the end, in any case:" in lines


def test_the_plan_of_another_file_is_inside(tmp_path: Path) -> None:
    written(tmp_path, "inputs: {n: 1, m: 2}\nsteps: [{type: cli, command: '${n} ${m}'}]\n", "b.yaml")
    text = """\
        inputs: {x: 5}
        steps:
          - {name: a, type: cli, command: x}
          - {name: call, workflow: b.yaml, inputs: {n: "${x}", m: "${steps.a}"}}
          - {name: python, workflow: map, inputs: {n: "${x}"}}
        """
    _, call, python = plan_of(tmp_path, text).to_json()["steps"]
    assert (call["workflow"], call["inputs"]) == ("b.yaml", {"n": 5, "m": "${steps.a}"})
    assert call["steps"][0]["fields"] == {"command": "${n} ${m}"}
    assert (python["inputs"], "steps" in python) == ({"n": 5}, False)


def test_a_plan_of_everything_is_json(tmp_path: Path) -> None:
    data = plan_of(tmp_path, RICH, urls=["a"]).to_json()
    assert json.loads(json.dumps(data)) == data
    assert (data["queue"], data["priority"], data["timeout"]) == ("slow", 5, 7200)


def test_a_condition_that_fails_is_left_to_the_run(tmp_path: Path) -> None:
    text = "inputs: {n: 0}\nsteps: [{type: cli, command: x, when: 1 / n > 0}]\n"
    assert plan_of(tmp_path, text).to_json()["steps"][0]["when"]["value"] is None
