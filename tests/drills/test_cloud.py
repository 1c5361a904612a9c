"""Both hospital sites are lost, a copy in the cloud is promoted by hand, the sites come back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands.commands import LOW_LOAD, bascule_drill, events

from chaos.scenarios.load import scenario_source

pytestmark = pytest.mark.slow

OF_THE_LOSS = {
    "lost-acknowledged-write",
    "acknowledged-on-dead-timeline",
    "unit-not-applied-once",  # the other caller of a lost unit was told that it was applied
}
QUICKER = (
    ("steady_s = 5", "steady_s = 2"),
    ("at_s = 23 ", "at_s = 6 "),
    ("heal_after_s = 5", "heal_after_s = 0.5"),
    ("heal_after_s = 6", "heal_after_s = 1"),
    ("after_heal_s = 5", "after_heal_s = 2"),
    ("rto_s_max = 120", "rto_s_max = 300"),
    ("recovery_s_max = 120", "recovery_s_max = 300"),
)
"""People who decide at once, and patience with a slow machine."""


def test_a_promotion_by_hand_loses_what_was_not_copied_and_nothing_else(tmp_path: Path) -> None:
    text = scenario_source("cloud-standby-promoted")
    for ours, quicker in QUICKER:
        assert ours in text
        text = text.replace(ours, quicker)
    scenario, folder = tmp_path / "cloud.toml", tmp_path / "run"
    scenario.write_text(text)
    done = bascule_drill(folder, str(scenario), *LOW_LOAD, "--seed", "7")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    verdict = json.loads((folder / "verdict.json").read_text())
    wrong = {one["kind"] for one in verdict["findings"] if one["verdict"] == "invalid"}
    assert wrong <= OF_THE_LOSS, said
    assert verdict["split_brain"] is False
    assert verdict["lost"] > 0
    assert verdict["rpo"]["lost_over_s"] > 0
    assert verdict["rpo"]["lost_wal_bytes"] > 0
    assert f"{verdict['lost']:,}" in done.stdout

    # What was lost is what was acknowledged while the line was down, and nothing older.
    struck = {str(one["target"]): one for one in events(folder, "fault")}
    cut_s = float(str(struck["cloud"]["t_s"]))
    [lost] = [one for one in verdict["findings"] if one["kind"] == "lost-acknowledged-write"]
    assert all(proof["acknowledged_s"] > cut_s for proof in lost["evidence"])

    [hand] = verdict["by_hand"]
    assert (hand["fault"], hand["node"]) == ("promoted-by-hand", "db-cloud")
    assert hand["decided_s"] > 0
    assert hand["took_s"] > 0
    for step in ("etcd alone in", "may lead in", "key deleted in", "promoted in"):
        assert step in hand["detail"]
    assert "by hand" in done.stdout

    # Nobody of the sites that came back led before it was handed the lead.
    healed = {str(one["target"]): one for one in events(folder, "heal")}
    for site in ("paris", "orsay"):
        assert "held back: etcd on" in str(healed[site]["detail"])
        assert "with its old data, to be rewound" in str(healed[site]["detail"])
    home_s = float(str(healed["db-cloud"]["t_s"]))
    promoted_s = float(str(struck["db-cloud"]["t_s"]))
    primaries = {
        str(one["node"])
        for one in events(folder, "role")
        if one["role"] == "primary" and promoted_s < float(str(one["t_s"])) < home_s
    }
    assert primaries == {"db-cloud"}
    assert events(folder, "settled"), "one primary, and every replica on its timeline"
    last = [str(one["holder"]) for one in events(folder, "leader-key")][-1]
    assert last in {"db-paris", "db-orsay"}
