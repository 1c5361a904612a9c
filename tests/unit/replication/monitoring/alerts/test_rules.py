"""The alert rules as data: complete, documented, fresh on disk; scaled and yet the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from chaos.cli.main import bascule
from chaos.live.metrics import DRILL_METRICS
from replication.monitoring import ALERTS, AlertRule, alert, render_rules
from replication.monitoring.alerts.rule import duration, number
from replication.monitoring.alerts.rules_file import RULES_FILE
from replication.monitoring.exporter.metrics import EXPORTER_METRICS
from replication.observability.metric_names import STORAGE_METRICS
from replication.witness.metrics import WITNESS_METRICS

ROOT = Path(__file__).parents[5]
RUNBOOKS = ROOT / "docs" / "operate" / "runbooks"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.name != "README.md")
LINKING = [*PAGES, RUNBOOKS / "README.md", ROOT / "docs" / "operate" / "monitoring.md"]
HEADINGS = [
    "What it means",
    "What users feel",
    "First three commands",
    "What to do",
    "What not to do",
    "How it was proved",
]
ASKED = {
    "BasculeNoPrimary",
    "BasculeTwoPrimaries",
    "BasculeReplicaLagBytes",
    "BasculeReplicaLagSeconds",
    "BasculeReplicaWithoutReceiver",
    "BasculeSyncStandbyMissing",
    "BasculeDcsWithoutQuorum",
    "BasculeTimelineChanged",
    "BasculeSlotRetention",
    "BasculeFailsafeActive",
    "BasculeMemberDown",
    "BasculeExporterSilent",
}

every_alert = pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)


def test_every_alert_that_was_asked_for_is_there_once() -> None:
    names = [rule.name for rule in ALERTS]
    assert set(names) >= ASKED
    assert len(names) == len(set(names))
    assert len({rule.runbook for rule in ALERTS}) == len(names)


def test_generated_files_are_fresh() -> None:
    """``python scripts/monitoring_files.py`` writes them; rules and table are looked at here, the
    dashboard in its own tests."""
    script = ROOT / "scripts" / "monitoring_files.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "fresh\n"), done.stderr
    assert RULES_FILE.read_text(encoding="utf-8") == render_rules()


@every_alert
def test_an_alert_says_who_where_and_why(rule: AlertRule) -> None:
    assert "labels.cluster" in rule.summary
    assert rule.for_source
    assert rule.when_absent
    if "member)" in rule.expr or "member, site)" in rule.expr:
        assert "by (cluster" in rule.expr
    placeholders = set(re.findall(r"\$(threshold|window)", rule.expr))
    assert ("threshold" in placeholders) == (rule.threshold is not None)
    assert ("window" in placeholders) == (rule.window_s is not None)
    assert rule.threshold is None or rule.threshold.source


@every_alert
def test_every_alert_has_a_runbook_in_the_same_shape(rule: AlertRule) -> None:
    page = (RUNBOOKS / f"{rule.runbook}.md").read_text(encoding="utf-8")
    title, *_ = page.splitlines()
    assert title == f"# {rule.name}"
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == HEADINGS
    first = page.partition("## First three commands")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d\. ", first, re.MULTILINE)) == 3
    assert first.count("```sh") == 3
    assert first.count("```text") == 3


@every_alert
def test_runbook_and_index_say_what_the_rule_says(rule: AlertRule) -> None:
    page = (RUNBOOKS / f"{rule.runbook}.md").read_text(encoding="utf-8")
    waits = duration(rule.for_s) if rule.for_s else "at once"
    said = page.partition("## ")[0]
    assert f"Severity **{rule.severity}**" in said
    assert f"**{waits}**" in said
    if rule.threshold is not None:
        assert f"--set {rule.name}=" in said
        size = rule.threshold.value
        words = {"bytes": (f"{size / 2**20:g} MiB", f"{size / 2**30:g} GiB")}
        assert any(
            f"**{word}**" in said for word in words.get(rule.threshold.unit, (f"{size:g} s",))
        )
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    after = f"after {waits}" if rule.for_s else waits
    assert f"| [{rule.name}]({rule.runbook}.md) | {rule.severity} | {after} |" in index


@pytest.mark.parametrize("page", LINKING, ids=lambda path: path.name)
def test_metrics_and_alerts_that_pages_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    metrics = {
        metric.name
        for metric in (*EXPORTER_METRICS, *STORAGE_METRICS, *DRILL_METRICS, *WITNESS_METRICS)
    }
    assert set(re.findall(r"\bbascule_(?!exporter\b)[a-z_]+\b", text)) <= metrics
    alerts = {rule.name for rule in ALERTS}
    assert set(re.findall(r"\bBascule[A-Z]\w+", text)) - {"BasculeReplica"} <= alerts


def test_every_runbook_belongs_to_an_alert() -> None:
    assert [path.stem for path in PAGES] == sorted(rule.runbook for rule in ALERTS)


@pytest.mark.parametrize(
    "page",
    [*PAGES, RUNBOOKS / "README.md", ROOT / "docs" / "operate" / "monitoring.md"],
    ids=lambda path: path.name,
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_scale_divides_every_wait_and_no_threshold() -> None:
    plain = yaml.safe_load(render_rules())["groups"][0]["rules"]
    scaled = yaml.safe_load(render_rules(scale=60))["groups"][0]["rules"]
    for rule, one, other in zip(ALERTS, plain, scaled, strict=True):
        assert one.get("for") == (duration(rule.for_s) if rule.for_s else None)
        assert other.get("for") == (duration(rule.for_s / 60) if rule.for_s else None)
        assert one["annotations"] == other["annotations"]
        assert one["labels"] == other["labels"]
        if rule.window_s is None:
            assert one["expr"] == other["expr"]
        else:
            assert f"[{duration(rule.window_s)}" in one["expr"]
            assert f"[{duration(rule.window_s / 60)}" in other["expr"]
            assert one["expr"] != other["expr"]


def test_a_threshold_can_be_changed() -> None:
    text = render_rules(thresholds={"BasculeReplicaLagBytes": 1024})
    rules = {rule["alert"]: rule for rule in yaml.safe_load(text)["groups"][0]["rules"]}
    assert rules["BasculeReplicaLagBytes"]["expr"].endswith("> 1024")
    assert rules["BasculeReplicaLagBytes"]["annotations"]["threshold"] == "1024 bytes"
    assert (
        rules["BasculeReplicaLagSeconds"]["expr"] == alert("BasculeReplicaLagSeconds").expression()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale": 0.0}, "positive"),
        ({"thresholds": {"BasculeNoPrimary": 1.0}}, "no threshold"),
        ({"thresholds": {"BasculeNoSuchThing": 1.0}}, "no such alert: BasculeNoSuchThing"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        render_rules(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "1m"), (0.25, "250ms"), (90, "1m30s"), (86_400, "1d"), (1440, "24m"), (1e-9, "1ms")],
)
def test_durations_are_written_as_prometheus_reads_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_are_written_whole_where_they_are() -> None:
    assert number(52_428_800.0) == "52428800"
    assert number(1.5) == "1.5"


def test_the_command_prints_the_rules() -> None:
    printed = CliRunner().invoke(bascule, ["monitoring", "rules"])
    assert printed.exit_code == 0
    assert printed.stdout == RULES_FILE.read_text(encoding="utf-8")


def test_the_command_takes_thresholds_scale_and_runbooks() -> None:
    options = [
        "--set",
        "BasculeSlotRetention=1048576",
        "--scale",
        "60",
        "--runbooks",
        "https://x/y/",
    ]
    printed = CliRunner().invoke(bascule, ["monitoring", "rules", *options])
    assert printed.exit_code == 0
    assert printed.stdout == render_rules(
        runbooks="https://x/y", scale=60, thresholds={"BasculeSlotRetention": 1_048_576}
    )
    assert "runbook_url: https://x/y/slot-retention.md" in printed.stdout


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--set", "BasculeSlotRetention=much"), "'much' is no number"),
        (("--set", "BasculeNoPrimary=1"), "is none of BasculeReplicaLagBytes"),
        (("--scale", "0"), "0"),
    ],
)
def test_the_command_says_what_is_wrong(option: tuple[str, str], words: str) -> None:
    printed = CliRunner().invoke(bascule, ["monitoring", "rules", *option])
    assert printed.exit_code == 2
    assert words in printed.output
