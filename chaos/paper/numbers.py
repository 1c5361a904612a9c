"""The paper for a script: the same answers, without words. Pure."""

from __future__ import annotations

from chaos.judge.verdict_file import Json
from chaos.paper.clauses import legal_texts
from chaos.paper.shown import ObjectiveFound, Shown, ShownRun, together


def paper_json(shown: Shown) -> dict[str, Json]:
    """What the runs have shown, with stable keys; null where nothing can be told."""
    return {
        "runs": [_run(one) for one in shown.runs],
        "objectives": {one.key: _objective(one) for one in shown.objectives},
        "subjects": {
            key: {"answer": str(together(said)), "runs": [str(one) for one in said]}
            for key, said in shown.answers.items()
        },
        "deviations": shown.deviations,
        "clauses": [
            {
                "text": text.name,
                "number": clause.number,
                "standing": text.standing,
                "sureness": text.sureness,
                "speaks": list(clause.speaks),
            }
            for text in legal_texts()
            for clause in text.clause
        ],
    }


def _run(one: ShownRun) -> Json:
    return {
        "folder": one.folder,
        "scenario": one.verdict.scenario,
        "started_at": one.verdict.started_at,
        "verdict": one.verdict.verdict.word,
        "manifest_sha256": one.manifest_sha256,
        "outage_s": None if one.outage_s is None else round(one.outage_s, 6),
        "lost": one.lost,
        "lost_span_s": None if one.lost_span_s is None else round(one.lost_span_s, 6),
    }


def _objective(one: ObjectiveFound) -> Json:
    return {
        "asked": one.asked,
        "found": None if one.found is None else round(one.found, 6),
        "answer": str(one.answer),
    }
