"""topologies.md and scenarios.md: every key is there, and every output is real."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from chaos.errors import ScenarioError
from chaos.faults.registry import FAULTS
from chaos.faults.targets import FORMS
from chaos.scenarios.access import AccessSpec, ProbeSpec, WithdrawalSpec
from chaos.scenarios.load import builtin_scenarios, load_scenario
from chaos.scenarios.model import Expectations, FaultStep, Scenario
from chaos.workloads.registry import WORKLOADS
from cluster.errors import TopologyError
from cluster.topology.load import builtin_topologies, find_topology
from cluster.topology.model import ClusterSettings, Host, Site, Topology
from cluster.topology.wan import Link, LinkQuality

DOCS = Path(__file__).parents[4] / "docs" / "use"
PAGES: list[tuple[str, Callable[[str], object]]] = [
    ("topologies.md", find_topology),
    ("scenarios.md", load_scenario),
    ("probes.md", load_scenario),
]
TABLES_OF_FIELDS = {
    "sites": "site",
    "hosts": "site.host",
    "faults": "fault",
    "expect": "expect",
    "workload": "workload",
    "params": "fault",
    "access": "probe",
    "probes": "probe",
    "withdrawals": "withdrawal",
    "at_s_max": "fault",
    "quality": "link",
    "role": "as",
    "rows": "expect",
}
"""The fields that are written as tables, as keys of one, or under another name."""
PARAMS = [kind.params for kind in FAULTS.values()]


def answer(load: Callable[[str], object], text: str) -> str:
    """What reading ``text`` from mine.toml says; empty when all is well."""
    Path("mine.toml").write_text(text, encoding="utf-8")
    try:
        load("mine.toml")
    except (TopologyError, ScenarioError) as error:
        return f"{error}\n"
    return ""


@pytest.mark.parametrize(("page", "load"), PAGES)
def test_every_example_does_what_the_page_says(
    page: str, load: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```(?:\n\ngives\n\n```text\n(.*?)```)?", text, re.DOTALL)
    assert [answer(load, toml) for toml, _ in examples] == [output for _, output in examples]
    assert "" in [output for _, output in examples]
    assert len(examples) > 1


@pytest.mark.parametrize(
    ("page", "values"),
    [
        ("topologies.md", [Topology, ClusterSettings, Site, Host, Link, LinkQuality]),
        (
            "scenarios.md",
            [
                Scenario,
                FaultStep,
                *PARAMS,
                *(AccessSpec, ProbeSpec, WithdrawalSpec),
                Expectations,
                *(kind.options for kind in WORKLOADS.values()),
            ],
        ),
    ],
)
def test_every_key_is_explained(page: str, values: list[type]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for value in values:
        for field in fields(value):
            table = TABLES_OF_FIELDS.get(field.name, field.name)
            rows = (
                *(f"| `{field.name}` |", f"| `{table}` |"),
                *(f"| `[[{table}]]` |", f"| `[{table}]` |"),
            )
            assert any(row in text for row in rows), field.name


def test_what_covers_a_public_report_is_there() -> None:
    """Scenarios and traps of the table; a tag stands in the page of topologies as well."""
    page = (DOCS.parent / "reference" / "patroni-reports.md").read_text(encoding="utf-8")
    topologies = (DOCS / "topologies.md").read_text(encoding="utf-8")
    scenarios = {one.name for one in builtin_scenarios()}
    rows = [line.split("|")[3] for line in page.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) > 10
    for row in rows:
        names = re.findall(r"`([^`]+)`", row)
        assert names or "whole" in row
        for name in names:
            assert name in scenarios or f"| `{name}`" in topologies, name


def test_every_built_in_one_and_every_fault_is_listed() -> None:
    topologies = (DOCS / "topologies.md").read_text(encoding="utf-8")
    scenarios = (DOCS / "scenarios.md").read_text(encoding="utf-8")
    assert all(f"| `{one.name}`" in topologies for one in builtin_topologies())
    assert all(f"| `{one.name}`" in scenarios for one in builtin_scenarios())
    assert all(f"| `{fault}` |" in scenarios for fault in FAULTS)
    assert all(f"`{form}`" in scenarios for form in FORMS.values())
