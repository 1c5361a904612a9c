"""The alert rules, judged by Prometheus's own tool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.monitoring.rule_case import Case, promtool_test
from support.monitoring.rule_cases import CASES

from replication.monitoring import ALERTS, AlertRule, render_rules

PAGE = Path(__file__).parents[5] / "docs" / "operate" / "monitoring.md"
TIMEOUT_S = 60.0


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.mark.parametrize("scale", [1, 60])
def test_prometheus_accepts_the_rules(tmp_path: Path, scale: int) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(render_rules(scale=scale, thresholds={"BasculeSlotRetention": 1.5}))
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.of}: {case.name}")
def test_an_alert_fires_when_it_must_and_only_then(tmp_path: Path, case: Case) -> None:
    (tmp_path / "rules.yml").write_text(render_rules())
    story = tmp_path / "story.yml"
    story.write_text(yaml.safe_dump(promtool_test(case, "rules.yml")))
    tested = promtool("test", "rules", str(story))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    """The tool is really asked: the same story with another end does not pass."""
    case = CASES[0]
    wrong = Case(name=case.name, of=case.of, series=case.series, fires={210: ()})
    (tmp_path / "rules.yml").write_text(render_rules())
    story = tmp_path / "story.yml"
    story.write_text(yaml.safe_dump(promtool_test(wrong, "rules.yml")))
    tested = promtool("test", "rules", str(story))
    assert tested.returncode != 0
    assert "BasculeNoPrimary" in tested.stdout + tested.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.name)
def test_every_alert_has_a_story_and_a_near_miss(rule: AlertRule) -> None:
    own = [case for case in CASES if case.of == rule.name]
    assert any(case.must_fire for case in own), f"no story in which {rule.name} fires"
    assert any(not case.must_fire for case in own), f"no near miss of {rule.name}"


def test_the_configuration_in_the_documentation_is_taken(tmp_path: Path) -> None:
    """By Prometheus and by Alertmanager themselves."""
    blocks = re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [name for name, _ in blocks] == ["prometheus.yml", "alertmanager.yml"]
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    (tmp_path / "bascule.yml").write_text(render_rules())
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    routes = subprocess.run(
        ["amtool", "check-config", str(tmp_path / "alertmanager.yml")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert routes.returncode == 0, routes.stdout + routes.stderr


def test_units_read_well(tmp_path: Path) -> None:
    """What a person is told, with Prometheus's own templates filled in."""
    labels = 'cluster="wh", member="db-b", site="b"'
    (tmp_path / "rules.yml").write_text(render_rules(runbooks="https://wiki.example/runbooks/"))
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {
                        "series": f'bascule_replica_lag_bytes{{{labels}, stage="replay"}}',
                        "values": f"{64 * 1024 * 1024}+0x40",
                    }
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "5m",
                        "alertname": "BasculeReplicaLagBytes",
                        "exp_alerts": [
                            {
                                "exp_labels": {
                                    "severity": "warning",
                                    "cluster": "wh",
                                    "member": "db-b",
                                    "site": "b",
                                },
                                "exp_annotations": {
                                    "summary": "db-b of wh is 64MiB behind",
                                    "description": (
                                        "db-b (site b) has yet to replay 64MiB of WAL that the"
                                        " primary has written. Reads there are out of date, and"
                                        " Patroni does not promote it while it is more than"
                                        " maximum_lag_on_failover behind (without quorum commit)."
                                    ),
                                    "runbook_url": (
                                        "https://wiki.example/runbooks/replica-lag-bytes.md"
                                    ),
                                    "threshold": "52428800 bytes",
                                },
                            }
                        ],
                    }
                ],
            }
        ],
    }
    story = tmp_path / "story.yml"
    story.write_text(yaml.safe_dump(document))
    tested = promtool("test", "rules", str(story))
    assert tested.returncode == 0, tested.stdout + tested.stderr
