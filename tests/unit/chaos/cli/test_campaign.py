"""What ``bascule campaign`` refuses, in words, before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from support.evidence.campaigns import BEGAN, a_run

from chaos.campaigns.campaign import Budget, resume_campaign
from chaos.campaigns.cases import GENERATOR
from chaos.campaigns.journal import CampaignJournal, append, read_journal
from chaos.campaigns.limits import FAMILIES, Limits, load_limits, to_toml
from chaos.campaigns.running import put_aside
from chaos.cli.campaign import campaign
from chaos.errors import CampaignError


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(campaign, arguments)
    assert done.exit_code == 2
    return done.output


def test_a_campaign_needs_a_budget() -> None:
    assert "how long? give --runs, --minutes, or both" in refused()


def test_what_is_drawn_is_not_said_again_when_a_campaign_goes_on() -> None:
    assert "--resume goes on with what the campaign was asked to be" in refused(
        "--resume", "x", "--seed", "3"
    )


@pytest.mark.parametrize("limits", [Limits(), Limits(sites_at_once_max=2, without=("pause",))])
def test_limits_are_read_back(tmp_path: Path, limits: Limits) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(to_toml(limits))
    assert load_limits(path) == limits


def test_every_mistake_in_a_file_of_limits_is_told(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text('faults_max = 0\nfamilies = ["host"]\nwithot = []\nttl_s_max = 5\n')
    with pytest.raises(CampaignError) as refusal:
        load_limits(path)
    said = str(refusal.value)
    assert said.startswith(f"{path}: 4 problems")
    assert "faults_max: expected a number from 1 to 20; found 0" in said
    assert f"did you mean {FAMILIES[0]}?" in said
    assert "withot: unknown key; did you mean without?" in said


@pytest.mark.parametrize(
    ("budget", "is_spent"),
    [
        (Budget(runs=2), True),
        (Budget(runs=3), False),
        (Budget(minutes=1.0), True),
        (Budget(minutes=2.0), False),
        (Budget(runs=9, minutes=1.0), True),
    ],
)
def test_when_a_budget_is_spent(budget: Budget, is_spent: bool) -> None:
    runs = (a_run(1, verdict="invalid", is_canary=True), a_run(2))  # 80 s together
    journal = CampaignJournal(folder=Path("c"), began=BEGAN, runs=runs)
    assert budget.is_spent(journal) is is_spent


def test_what_another_generator_drew_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, BEGAN)
    assert resume_campaign(tmp_path) == read_journal(tmp_path)
    monkeypatch.setattr("chaos.campaigns.campaign.GENERATOR", GENERATOR + 1)
    with pytest.raises(CampaignError, match="begin anew"):
        resume_campaign(tmp_path)


def test_what_broke_off_is_put_aside_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "0007"
    put_aside(folder)
    for number in (1, 2):
        folder.mkdir()
        (folder / "events.jsonl").write_text(str(number))
        put_aside(folder)
        assert not folder.exists()
        aside = tmp_path / f"0007-aside-{number}" / "events.jsonl"
        assert aside.read_text() == str(number)
