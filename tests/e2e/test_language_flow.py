"""Order, conditions and blocks: what runs when, beside what, and with which values."""

from __future__ import annotations

from tests.support.language import Language, language

__all__ = ["language"]


def test_when_skips_a_step_and_its_value_is_null(language: Language) -> None:
    run = language.run(
        """
        inputs: {mode: fast, limit: 3, tags: {type: list, default: [a, b]}}
        steps:
          - {name: quoted, type: emit, event: e, value: 1, when: "'${mode}' == 'fast'"}
          - {name: bound, type: emit, event: e, value: 1, when: "${mode} == 'fast'"}
          - {name: named, type: emit, event: e, value: 1, when: mode == 'fast' and len(tags) > 1}
          - {name: unlike, type: emit, event: e, value: 1, when: "${mode} == 'slow'", output: unlike}
          - {name: number, type: emit, event: e, value: 1, when: limit - 3}
          - {name: after, type: emit, event: e, value: 1, when: steps.unlike == null and unlike == null}
          - {name: block, when: false, parallel: [{name: x, type: emit, event: e, value: 1}]}
          - {name: loop, when: "not contains(tags, 'a')", foreach: {items: "${tags}"}, steps: [{type: emit, event: e, value: 1}]}
          - {name: wait, when: limit > 3, wait: {for: 1h}}
          - {name: choice, when: "${limit} > 3", switch: {on: mode, cases: {fast: [{type: emit, event: e, value: 1}]}}}
        outputs: {unlike: "${unlike ?? 'nothing'}", block: "${steps.block}", after: "${steps.after}"}
        """
    )
    assert run.outputs == {"unlike": "nothing", "block": None, "after": 1}
    states = language.states(run)
    ran = {name for name, state in states.items() if state == "succeeded"}
    assert ran == {"quoted", "bound", "named", "after"}
    assert {name for name, state in states.items() if state == "skipped"} == {
        "unlike", "number", "block", "loop", "wait", "choice",
    }  # fmt: skip


def test_a_condition_that_cannot_be_computed_fails_the_step(language: Language) -> None:
    run = language.run(
        """
        inputs: {word: x, rows: {type: any, default: 5}}
        steps:
          - {name: step, type: emit, event: e, value: 1, when: word > 3, on_error: skip}
          - {name: block, parallel: [{type: emit, event: e, value: 1}], when: len(rows) > 0, on_error: skip}
          - {name: last, type: emit, event: e, value: 1, when: rows.deep == 1}
        """
    )
    assert run.status == "failed"
    steps = language.steps(run)
    assert [step.status for step in steps.values()] == ["failed"] * 3
    assert {(step.error or {})["type"] for step in steps.values()} == {"ExpressionError"}


def test_values_are_known_by_output_and_by_name(language: Language) -> None:
    outputs = language.outputs(
        """
        name: values
        inputs: {base: 2, gone: {type: any}}
        steps:
          - {name: first-step, type: script, inputs: {base: "${base}"}, code: "result = [base, {'k-1': None}]", output: pair}
          - {type: script, inputs: {x: "${steps.first-step[0]}"}, code: "result = x + 1"}
          - name: text
            type: script
            inputs: {text: "${pair} ${pair[1]} ${base} $${base} ${run.name}"}
            code: result = text
          - {name: inner, parallel: [{name: a, type: script, code: "result = 1"}, {name: b, type: script, code: "result = 2", output: bee}]}
        outputs:
          second: "${steps.step2}"
          text: "${steps.text}"
          none: "${pair[1][\\"k-1\\"]}"
          default: ${pair[1].nope ?? steps.nope ?? 'd'}
          null_default: ${gone ?? 7}
          inner: "${steps.inner}"
          a: ${steps.inner.a}
          inputs: ${inputs}
          started: "${run.started_at}"
          attempt: ${run.attempt}
        """
    )
    assert outputs["second"] == 3
    assert outputs["text"] == '[2, {"k-1": null}] {"k-1": null} 2 ${base} values'
    assert outputs["none"] is None
    assert (outputs["default"], outputs["null_default"]) == ("d", 7)
    assert outputs["inner"] == {"a": 1, "b": 2}
    assert outputs["a"] == 1
    assert outputs["inputs"] == {"base": 2, "gone": None}
    assert outputs["started"].endswith("Z")
    assert outputs["attempt"] == 1


def test_parallel_steps_and_items_are_at_work_at_once(language: Language) -> None:
    run = language.run(
        """
        inputs: {both: {type: list, default: [p-a, p-b]}, all: {type: list, default: [i-0, i-1, i-2]}}
        steps:
          - name: both
            parallel:
              - {name: a, type: python, call: "probe:meet", args: [p-a, "${both}"]}
              - name: b
                foreach: {items: [1]}
                steps: [{name: in, type: python, call: "probe:meet", args: [p-b, "${both}"]}]
          - name: items
            foreach: {items: "${all}", max_concurrent: 3, key: "${item}"}
            steps: [{name: meet, type: python, call: "probe:meet", args: ["${item}", "${all}"]}]
          - name: deep
            foreach: {items: [d-0, d-1, d-2], max_concurrent: 3}
            steps:
              - {name: one, type: script, code: result = 1}
              - {name: meet, type: python, call: "probe:meet", args: ["${item}", [d-0, d-1, d-2]]}
        outputs: {both: "${steps.both}", items: "${steps.items}", deep: "${steps.deep}"}
        """
    )
    assert run.outputs == {
        "both": {"a": "p-a", "b": ["p-b"]},
        "items": ["i-0", "i-1", "i-2"],
        "deep": ["d-0", "d-1", "d-2"],
    }


def test_foreach_bounds_its_items_and_keeps_their_order(language: Language) -> None:
    outputs = language.outputs(
        """
        inputs: {ns: {type: list, default: [4, 3, 2, 1, 0]}}
        steps:
          - name: simple
            foreach: {items: "${ns}", as: n, max_concurrent: 2}
            steps:
              - name: work
                type: script
                inputs: {n: "${n}", index: "${index}", key: "${key}"}
                code: |
                  import os, time
                  os.makedirs("bound", exist_ok=True)
                  open(f"bound/{n}", "w").close()
                  seen = len(os.listdir("bound"))
                  time.sleep(0.05 * n)
                  os.remove(f"bound/{n}")
                  result = {"n": n, "index": index, "key": key, "seen": seen}
                output: made
            collect: {n: "${made.n}", at: "${index}", key: "${key}", seen: "${made.seen}", same: "${steps.work.n}"}
            output: rows
          - name: pairs
            foreach: {items: {x: 1, y: [2]}, key: "${item.key}"}
            steps: [{name: s, type: script, inputs: {i: "${item}"}, code: result = i}]
          - {name: none, foreach: {items: []}, steps: [{type: script, code: "1/0"}]}
        outputs: {rows: "${rows}", pairs: "${steps.pairs}", none: "${steps.none}"}
        """
    )
    assert [(row["n"], row["at"], row["key"], row["same"]) for row in outputs["rows"]] == [
        (4, 0, "0", 4), (3, 1, "1", 3), (2, 2, "2", 2), (1, 3, "3", 1), (0, 4, "4", 0),
    ]  # fmt: skip
    assert max(row["seen"] for row in outputs["rows"]) <= 2
    assert outputs["pairs"] == [{"key": "x", "value": 1}, {"key": "y", "value": [2]}]
    assert outputs["none"] == []


def test_what_foreach_makes_of_failed_items(language: Language) -> None:
    run = language.run(
        """
        inputs: {ns: {type: list, default: [1, 0, 2, 0]}}
        steps:
          - name: collect
            foreach: {items: "${ns}", on_item_error: collect}
            steps: [{name: div, type: script, inputs: {n: "${item}"}, code: result = 6 // n}]
          - name: skip
            foreach: {items: "${ns}", on_item_error: skip}
            steps:
              - {name: one, type: script, code: result = 1}
              - {name: div, type: script, inputs: {n: "${item}"}, code: result = 6 // n}
          - name: gather
            foreach: {items: "${ns}", on_item_error: collect}
            steps: [{name: get, type: script, inputs: {n: "${item}"}, code: "result = {'v': n} if n else {}"}]
            collect: ${steps.get.v}
          - name: deep
            foreach: {items: "${ns}", on_item_error: collect}
            steps:
              - {name: get, type: script, inputs: {n: "${item}"}, code: "result = {'v': n} if n else {}"}
              - {name: two, type: script, code: result = 1}
            collect: ${steps.get.v}
          - name: fail
            foreach: {items: "${ns}", max_concurrent: 1}
            steps: [{name: div, type: python, call: "probe:mark", args: [fail-item, "${item}"]},
                    {name: bad, type: script, inputs: {n: "${item}"}, code: result = 6 // n}]
            on_error: skip
          - name: fast
            foreach: {items: "${ns}", max_concurrent: 1}
            steps: [{name: bad, type: script, inputs: {n: "${item}"}, code: "open('fast-items', 'a').write('x'); result = 6 // n"}]
            on_error: skip
        outputs: {collect: "${steps.collect}", skip: "${steps.skip}", fail: "${steps.fail}",
                  gather: "${steps.gather}", deep: "${steps.deep}"}
        """
    )
    assert run.status == "succeeded", run.error
    values = run.outputs["collect"]
    assert [values[0], values[2]] == [6, 3]
    assert (values[1]["key"], values[1]["error"]["type"]) == ("1", "ZeroDivisionError")
    assert run.outputs["skip"] == [6, 3]
    for name in ("gather", "deep"):
        values = run.outputs[name]
        assert [values[0], values[2]] == [1, 2], name
        assert [values[1]["error"]["type"], values[3]["key"]] == ["ExpressionError", "3"], name
    assert run.outputs["fail"] is None
    assert run.summary == {"items_failed": 8, "items": 16, "skipped_failures": 2}
    assert language.marks("fail-item") == 2, "nothing begins after a failure"
    assert (language.root / "fast-items").read_text() == "xx"
    error = language.steps(run)["fail"].error or {}
    assert (error["type"], error["step"]) == ("ZeroDivisionError", "fail[1].bad")


def test_foreach_refuses_keys_that_are_not_unique_before_it_begins(language: Language) -> None:
    run = language.run(
        """
        inputs: {words: {type: list, default: [a, b, a]}, odd: {type: list, default: [1, [2]]}, one: {type: any, default: 3}}
        steps:
          - name: twice
            foreach: {items: "${words}", key: "${item}"}
            steps: [{name: mark, type: python, call: "probe:mark", args: [twice]}]
            on_error: skip
          - name: odd
            foreach: {items: "${odd}", key: "${item}"}
            steps: [{name: mark, type: python, call: "probe:mark", args: [twice]}]
            on_error: skip
          - name: one
            foreach: {items: "${one}"}
            steps: [{name: mark, type: python, call: "probe:mark", args: [twice]}]
            on_error: skip
        """
    )
    errors = {path: step.error or {} for path, step in language.steps(run).items()}
    assert "items 0 and 2 have the same key 'a'" in errors["twice"]["message"]
    assert "a key must be text or a number" in errors["odd"]["message"]
    assert "`items` is not a list but int" in errors["one"]["message"]
    assert language.marks("twice") == 0


def test_needs_decides_what_waits_for_what(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: slow, type: python, call: "probe:meet", args: [g-slow, [g-slow, g-late]]}
          - {name: free, type: script, code: result = 1, needs: []}
          - {name: late, type: python, call: "probe:meet", args: [g-late, [g-late]], needs: [free]}
          - name: block
            needs: [free]
            foreach: {items: [1, 2]}
            steps: [{name: s, type: script, inputs: {a: "${steps.free}", b: "${item}"}, code: result = a + b}]
            output: sums
          - {name: join, type: script, needs: [block, late], inputs: {s: "${sums}", l: "${steps.late}"}, code: "result = [s, l]", output: joined}
          - {name: end, type: script, inputs: {s: "${steps.slow}", j: "${joined}"}, code: "result = [s, j]"}
        outputs: {end: "${steps.end}"}
        """
    )
    assert run.outputs == {"end": ["g-slow", [[2, 3], "g-late"]]}


def test_a_failure_in_a_graph_stops_what_needs_it(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: bad, type: script, code: 1/0, needs: []}
          - {name: child, type: python, call: "probe:mark", args: [graph-child], needs: [bad]}
          - {name: block, needs: [bad], parallel: [{name: x, type: python, call: "probe:mark", args: [graph-block]}]}
          - {name: grandchild, type: python, call: "probe:mark", args: [graph-grand], needs: [block]}
          - {name: skipped, type: script, code: 1/0, needs: [], on_error: skip}
          - {name: saved, type: script, code: 1/0, needs: [], on_error: {fallback: {name: spare, type: script, code: result = 5}}}
        """
    )
    assert run.status == "failed"
    assert run.error
    assert "'bad'" in run.error["message"]
    for name in ("graph-child", "graph-block", "graph-grand"):
        assert language.marks(name) == 0, name


def test_failures_of_a_graph_that_are_caught(language: Language) -> None:
    run = language.run(
        """
        steps:
          - {name: skipped, type: script, code: 1/0, needs: [], on_error: skip, output: none}
          - {name: saved, type: script, code: 1/0, needs: [], output: five,
             on_error: {fallback: {name: spare, type: script, inputs: {e: "${error.type}"}, code: "result = [5, e]"}}}
          - {name: named, type: script, code: 1/0, needs: [], on_error: {fallback: other}}
          - {name: other, type: script, code: result = 6}
          - {name: join, type: script, needs: [skipped, saved, named],
             inputs: {a: "${none ?? 4}", b: "${five}", c: "${steps.named}"}, code: "result = [a, b, c]"}
          - {name: loop, needs: [skipped], foreach: {items: [1]}, steps: [{name: x, type: script, inputs: {n: "${none ?? 0}"}, code: result = n}]}
        outputs: {join: "${steps.join}", loop: "${steps.loop}"}
        """
    )
    assert run.status == "succeeded", run.error
    assert run.outputs == {"join": [4, [5, "ZeroDivisionError"], 6], "loop": [0]}


def test_switch_takes_one_branch(language: Language) -> None:
    outputs = language.outputs(
        """
        inputs: {mode: fast, code: 404, flag: true}
        steps:
          - name: text
            switch:
              on: mode
              cases:
                fast: [{name: a, type: script, code: result = 'quick'}, {name: b, type: script, inputs: {a: "${steps.a}"}, code: result = a + '!'}]
                slow: [{name: a, type: script, code: 1/0}]
          - {name: number, type: switch, on: code, cases: {200: [{type: script, code: result = 'ok'}], 404: [{type: script, code: result = 'gone'}]}}
          - {name: boolean, switch: {on: "${flag} and code > 400", cases: {true: [{type: script, code: result = 'yes'}], false: []}}}
          - {name: other, switch: {on: "lower('X')", cases: {y: []}, default: [{type: script, code: result = 'default'}]}}
          - {name: neither, switch: {on: mode, cases: {y: [{type: script, code: 1/0}]}}}
        outputs: {text: "${steps.text}", number: "${steps.number}", boolean: "${steps.boolean}", other: "${steps.other}", neither: "${steps.neither}"}
        """
    )
    assert outputs == {
        "text": "quick!",
        "number": "gone",
        "boolean": "yes",
        "other": "default",
        "neither": None,
    }


def test_blocks_inside_blocks(language: Language) -> None:
    run = language.run(
        """
        steps:
          - name: outer
            foreach: {items: [a, b], as: letter, key: "${letter}"}
            steps:
              - name: both
                parallel:
                  - name: inner
                    foreach: {items: [1, 2], as: n}
                    steps:
                      - name: pick
                        switch:
                          on: n
                          cases: {1: [{name: one, type: script, inputs: {l: "${letter}"}, code: result = l + '1'}]}
                          default: [{name: more, type: script, inputs: {l: "${letter}", n: "${n}"}, code: "result = l + str(n)"}]
                      - {name: last, type: script, inputs: {p: "${steps.pick}"}, code: "result = p + '.'"}
                  - {name: plain, type: script, inputs: {l: "${letter}"}, code: result = l.upper()}
                output: made
            collect: ["${made.plain}", "${made.inner}"]
        outputs: {all: "${steps.outer}"}
        """
    )
    assert run.outputs == {"all": [["A", ["a1.", "a2."]], ["B", ["b1.", "b2."]]]}
    paths = set(language.states(run))
    assert "outer[a].both.inner[0].pick.one" in paths
    assert "outer[b].both.inner[1].pick.more" in paths
    assert "outer[b].both.plain" in paths
