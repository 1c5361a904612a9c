"""A site that was cut off while the others were served: what verdict and reports say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support.evidence.reported import Reported, reported
from support.evidence.stories import FAULT_S, HOST_LOSS

from chaos.cli.verdict_text import facts
from chaos.evidence.records import Scalar
from chaos.faults.targets import Target
from chaos.findings import Verdict
from chaos.report.figures import key_figures, site_rows
from chaos.report.sentence import verdict_sentence
from chaos.scenarios.model import FaultStep

SCHEMA = Path(__file__).parents[4] / "chaos" / "judge" / "verdict.schema.json"
CUT = FaultStep(fault="site-cut", target=Target(selector="site-of", name="primary"), at_s=0.0)
WAITED_S = 26.1


def _told(event: tuple[float, Mapping[str, Scalar]]) -> tuple[float, Mapping[str, Scalar]]:
    t_s, fields = event
    if fields.get("fault") != "host-power-cut":
        return event
    return t_s, {**fields, "fault": "site-cut", "target": "paris", "node": "paris"}


@pytest.fixture(scope="module")
def site_cut(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The story of the lost host, told of its site; paris is served 2.7 s after it was joined."""
    scenario = replace(HOST_LOSS.scenario, name="site-cut", faults=(CUT,))
    story = replace(
        HOST_LOSS,
        scenario=scenario,
        outages={**HOST_LOSS.outages, "paris": (FAULT_S, FAULT_S + WAITED_S)},
        events=tuple(_told(event) for event in HOST_LOSS.events),
    )
    return reported(tmp_path_factory.mktemp("site-cut") / "run", story)


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_it_is_no_finding_and_the_rto_is_that_of_the_others(site_cut: Reported) -> None:
    verdict = site_cut.verdict
    assert verdict.verdict is Verdict.VALID
    assert verdict.rto_s == pytest.approx(22.2, abs=0.1)
    assert verdict.unservable_outage_s == pytest.approx(WAITED_S, abs=0.1)


def test_the_sentence_says_what_was_struck_and_who_waited(site_cut: Reported) -> None:
    said = _plain(verdict_sentence(site_cut.run, site_cut.verdict))
    assert said.startswith(
        "VALID: the cut of the site paris cost 22.2 s of writes elsewhere; paris could not be "
        "served meanwhile and waited 26.1 s; none of "
    )


def test_the_prediction_tells_them_apart(site_cut: Reported) -> None:
    predicted = site_cut.verdict.rto_predicted_s
    assert predicted is not None
    assert (predicted.service, predicted.sites) == ("none-until-healed", ("paris",))
    assert (predicted.of_rto.service, predicted.of_rto.low_s) == ("returns", 15.0)
    assert predicted.low_s == pytest.approx(23.4), "the heal came when the others were served"
    assert "Within the prediction." in site_cut.html
    assert "paris cannot reach the side that has a majority of etcd" in site_cut.html


def test_figures_table_and_terminal(site_cut: Reported) -> None:
    figures = {one.name: one for one in key_figures(site_cut.run, site_cut.verdict)}
    rto = figures["Longest outage of a site (RTO)"]
    assert (_plain(rto.value), rto.is_bad) == ("22.2 s", False)
    assert _plain(rto.notes[-1]) == "paris, which could not be served: 26.1 s"
    rows = {row.site: _plain(row.outage) for row in site_rows(site_cut.verdict)}
    assert rows["paris"] == "26.1 s (could not be served)"
    assert "could not" not in rows["orsay"]
    said = "\n".join(facts(site_cut.verdict))
    assert "22.2 s (predicted 15 to 32 s)" in said
    assert "26.1 s in paris, which could not be served meanwhile (predicted: no service in" in said


def test_the_file_keeps_to_the_schema(site_cut: Reported) -> None:
    document = json.loads((site_cut.folder / "verdict.json").read_text())
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    paris, orsay = document["sites"]["paris"], document["sites"]["orsay"]
    assert (paris["could_be_served"], orsay["could_be_served"]) == (False, True)
    [stretch] = paris["not_due"]
    assert stretch["to_s"] - stretch["from_s"] == pytest.approx(23.4)
    assert stretch["why"].startswith("paris cannot reach the side that goes on")
    assert orsay["not_due"] == []
    assert document["rto_predicted_s"]["elsewhere"]["service"] == "returns"
