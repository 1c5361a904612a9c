"""A checker with a finding of its own is one file and one line; every report knows its words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.house.house_copy import copy_house

TIMEOUT_S = 120.0

CHECKER = '''
"""Whether the run has an operation with an odd id."""

from chaos.checkers import needs
from chaos.checkers.base import Checker
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict

ODD_ID = FindingKind(
    word="odd-id",
    meaning="INVALID: an id is ``odd``.",
    heading="Id that is odd",
    proved="ids were odd",
    undecided="it is not known whether ids were odd",
)


def check(run: Run) -> list[Finding]:
    odd = [op.id for history in run.histories for op in history.operations if "odd" in op.id]
    verdict = Verdict.INVALID if "odd-surely" in odd else Verdict.UNKNOWN
    evidence = tuple({"id": id_} for id_ in odd)
    return [Finding(kind=ODD_ID, verdict=verdict, summary="Odd.", evidence=evidence)] if odd else []


CHECKER = Checker(
    name="odd-ids",
    question="No id is odd.",
    check=check,
    finds=(ODD_ID,),
    needs=(needs.histories,),
)
'''

PROGRAM = """
import json
from support.evidence import tiny
from chaos.judge.judging import build_verdict, judge
from chaos.report.html import render_html
from chaos.report.junit import render_junit
from chaos.report.sentence import verdict_sentence
import verdicts_page

def told(id_):
    run = tiny.run([*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay"), tiny.op(id_, 50.0)])
    verdict = build_verdict(run)
    return {
        "answer": judge(run).result("odd-ids").verdict.word,
        "verdict": verdict.to_json(),
        "sentence": verdict_sentence(run, verdict),
        "junit": render_junit(run, verdict),
        "html": render_html(run, verdict),
    }

tables = verdicts_page.tables()
print(json.dumps({id_: told(id_) for id_ in ("even", "odd-perhaps", "odd-surely")} | tables))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    copy = copy_house(tmp_path_factory.mktemp("new-checker") / "house")
    copy.add_file("chaos/checkers/odd.py", CHECKER)
    copy.add_line("chaos/checkers/registry.py", "    lost,", "    odd,")
    copy.add_line("chaos/checkers/registry.py", "    lost.CHECKER,", "    odd.CHECKER,")
    done = copy.python("-c", PROGRAM, timeout_s=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_judges_in_its_place(told: dict[str, Any]) -> None:
    assert [told[id_]["answer"] for id_ in ("even", "odd-perhaps", "odd-surely")] == [
        "valid",
        "unknown",
        "invalid",
    ]
    verdict = told["odd-surely"]["verdict"]
    assert verdict["verdict"] == "invalid"
    assert [one["name"] for one in verdict["checkers"]][:2] == ["lost-entries", "odd-ids"]
    [finding] = verdict["findings"]
    assert (finding["kind"], finding["checker"]) == ("odd-id", "odd-ids")
    assert finding["evidence"] == [{"id": "odd-surely"}]


def test_every_report_has_its_words(told: dict[str, Any]) -> None:
    sure, perhaps, even = told["odd-surely"], told["odd-perhaps"], told["even"]
    assert sure["sentence"] == "INVALID: without a fault, ids were odd."
    assert "because it is not known whether ids were odd. Of" in perhaps["sentence"]
    assert "Id that is odd" in sure["html"]
    assert "It is not known whether ids were odd" in perhaps["html"]
    assert all("No id is odd." in one["html"] for one in (sure, perhaps, even))
    assert '<failure type="odd-id" message="Odd.">id=odd-surely</failure>' in sure["junit"]
    assert '<error type="odd-id" message="Odd.">id=odd-perhaps</error>' in perhaps["junit"]
    assert 'name="odd-ids: No id is odd." time="0" />' in even["junit"]


def test_the_page_of_verdicts_lists_it(told: dict[str, Any]) -> None:
    assert "| `odd-ids` | No id is odd. | all | `odd-id` |" in told["checkers"]
    assert "| `odd-id` | Id that is odd | INVALID: an id is `odd`. |" in told["findings"]
