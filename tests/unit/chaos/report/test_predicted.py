"""What is predicted, on the terminal, in the report and in verdict.json."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

from jsonschema import Draft202012Validator
from support.evidence.reported import Reported

from chaos.cli.verdict_text import facts
from chaos.report.figures import key_figures


def test_stock_patroni_stands_beside_what_witnesses_are_predicted_to_do(
    host_loss: Reported,
) -> None:
    assert host_loss.verdict.rto_predicted_s is not None
    witnessed = replace(
        host_loss.verdict.rto_predicted_s, low_s=0.3, high_s=4.0, stock_s=(15.0, 29.0)
    )
    verdict = replace(host_loss.verdict, rto_predicted_s=witnessed)
    assert "(predicted 0.3 to 4.0 s, without witnesses 15 to 29 s)" in "\n".join(facts(verdict))
    figures = {one.name: one for one in key_figures(host_loss.run, verdict)}
    notes = "".join(figures["Longest outage of a site (RTO)"].notes).replace("\u00a0", " ")
    assert "predicted: 0.3 to 4.0 s" in notes
    assert "without witnesses: 15.0 to 29.0 s" in notes
    document = verdict.to_json()
    schema = json.loads((files("chaos.judge") / "verdict.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    assert document["rto_predicted_s"]["stock_s"] == [15.0, 29.0]
