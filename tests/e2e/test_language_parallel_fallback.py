"""A branch of `parallel` may be the fallback of another one."""

from __future__ import annotations

from tests.support.language import Language, language

__all__ = ["language"]


def test_a_branch_that_is_a_fallback_runs_only_instead_of_another(language: Language) -> None:
    outputs = language.outputs(
        """
        steps:
          - name: both
            parallel:
              - {name: bad, type: script, code: 1/0, on_error: {fallback: spare}}
              - {name: spare, type: script, code: result = 'spare'}
              - {name: good, type: script, code: result = 'good'}
        outputs: {both: "${steps.both}"}
        """
    )
    assert outputs == {"both": {"bad": "spare", "good": "good"}}
