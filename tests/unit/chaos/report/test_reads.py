"""What was read: in ``verdict.json``, on the terminal and in the report."""

from __future__ import annotations

import json
from importlib.resources import files

from jsonschema import Draft202012Validator
from support.evidence import tiny
from support.evidence.marks import look, mark, with_reads
from support.evidence.tiny import run

from chaos.cli.verdict_text import facts
from chaos.evidence.run import Run
from chaos.judge.judging import build_verdict
from chaos.report.html import compose_page, render_html
from chaos.report.sentence import verdict_sentence

SCHEMA = json.loads(files("chaos.judge").joinpath("verdict.schema.json").read_text())


def judged(*, seen: int = 1, of_orsay: int = 1) -> Run:
    """Two sites that read; ``seen`` is what paris sees of its own mark on the primary."""
    operations = [*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")]
    reads = [
        look("primary", 2.0, {"paris": seen, "orsay": of_orsay}, took_s=2.5),
        look("own-write", 2.0, {"paris": 1}, after=1),
        look("any", 3.0, outcome="fail", took_s=0.25, bound_s=3600.0),
        look("any", 4.0, {"paris": 1}, took_s=0.25, bound_s=3600.0, age_s=100.0),
        look("primary", 2.0, {"paris": 1, "orsay": 1}, site="orsay"),
    ]
    return with_reads(run(operations), [mark(1, 1.0), mark(1, 1.0, site="orsay")], reads)


def reads_line(found: Run) -> str:
    [line] = [line for line in facts(build_verdict(found)) if line.lstrip().startswith("reads")]
    return line.split(maxsplit=1)[1]


def test_the_verdict_says_how_each_kind_was_served() -> None:
    document = build_verdict(judged()).to_json()
    Draft202012Validator(SCHEMA).validate(document)
    service = json.loads(json.dumps(document["service"]))
    assert service["write"]["orsay"]["could_be_served"] is True
    assert service["read-primary"]["paris"] == {
        "longest_gap_s": 2.5,
        "longest_due_s": 2.5,
        "could_be_served": True,
    }
    assert service["read-replica"]["paris"]["longest_gap_s"] == 1.25
    reads = json.loads(json.dumps(document["reads"]))
    assert (reads["stale"], reads["behind_on_primary"]) == (0, 0)
    assert reads["sites"]["paris"]["any"] == {
        "total": 2,
        "ok": 1,
        "p50_ms": 250.0,
        "longest_gap_s": 1.25,
    }


def test_a_run_without_reads_says_so() -> None:
    document = build_verdict(run(tiny.load(0.0, 50.0))).to_json()
    Draft202012Validator(SCHEMA).validate(document)
    assert document["reads"] is None
    service = json.loads(json.dumps(document["service"]))
    assert service["read-primary"] is service["read-replica"] is None
    assert not [line for line in facts(build_verdict(run())) if "reads" in line]
    assert "What was read" not in render_html(run(), build_verdict(run()))


def test_the_terminal_says_the_longest_waits_and_what_is_wrong() -> None:
    assert reads_line(judged()) == "primary 2.5\u00a0s, replicas 1.2\u00a0s longest wait"
    assert reads_line(judged(seen=0)).startswith("1 STALE, primary 2.5")
    behind = "1 by an old primary, behind what other sites had written"
    assert reads_line(judged(of_orsay=0)).endswith(behind)


def test_the_sentence_speaks_of_reads_only_where_they_are_wrong() -> None:
    assert "read" not in verdict_sentence(judged(), build_verdict(judged()))
    wrong = judged(seen=0)
    said = verdict_sentence(wrong, build_verdict(wrong))
    assert said.startswith("INVALID: without a fault, reads did not see what they were promised")


def test_the_report_has_a_row_for_each_site_and_kind() -> None:
    found = judged(of_orsay=0)
    verdict = build_verdict(found)
    rows = [
        (row.site, row.kind, row.made, row.answered) for row in compose_page(found, verdict).reads
    ]
    assert len(rows) == 8
    assert rows[0] == ("paris", "on the primary", "1", "1")
    assert rows[3] == ("paris", "of any age", "2", "1")
    page = render_html(found, verdict)
    assert "What was read" in page
    assert "1 by an old primary" in page
    assert 'href="reads-paris.jsonl"' in page
    assert "Stale reads" in page
