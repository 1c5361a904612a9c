"""The commands for labs by hand, as far as no lab is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli.main import bascule
from chaos.cli.replay import replay_command
from chaos.cli.up import _built_in, up
from chaos.faults.registry import FAULTS
from chaos.gameday.labs import LabNameError


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No lab is up there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("BASCULE_LAB", raising=False)


@pytest.mark.parametrize("option", ["--help", "--list"])
def test_the_faults_are_listed_from_the_registry(option: str) -> None:
    text = CliRunner().invoke(bascule, ["strike", option]).output
    for key in FAULTS:
        assert f"{key} " in text


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["watch"],
        ["psql"],
        ["strike", "link-cut"],
        ["heal"],
        ["switchover"],
        ["load", "stop"],
        ["logs"],
        ["down"],
    ],
)
def test_without_a_lab_every_command_says_so(command: list[str]) -> None:
    done = CliRunner().invoke(bascule, command)
    assert isinstance(done.exception, LabNameError)
    assert str(done.exception) == "no lab is up: bascule up raises one"
    done = CliRunner().invoke(bascule, command, env={"BASCULE_LAB": "mine"})
    assert str(done.exception).startswith("no lab mine is up")


COMMANDS = (
    *(["up"], ["status"], ["watch"], ["psql"], ["strike", "link-cut"], ["heal"]),
    *(["switchover"], ["load", "stop"], ["logs"], ["enter"], ["down"]),
)


@pytest.mark.parametrize("command", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_every_command_takes_the_lab_in_the_same_option(command: list[str]) -> None:
    """Right behind its own name, before anything else."""
    words = [command[0], "--lab", "No Name", *command[1:]]
    done = CliRunner().invoke(bascule, words)
    assert isinstance(done.exception, LabNameError), done.output
    assert "'No Name' is no name for a lab" in str(done.exception)


@pytest.mark.parametrize("command", ["up", "status", "watch", "down"])
def test_a_lab_is_named_once(command: str) -> None:
    done = CliRunner().invoke(bascule, [command, "a", "--lab", "b"])
    assert done.exit_code == 2
    assert "two labs are named: a, and --lab b; name one" in done.output
    done = CliRunner().invoke(bascule, [command, "No Name"], env={"BASCULE_LAB": "b"})
    assert "'No Name' is no name for a lab" in str(done.exception)  # what is typed counts


def test_a_fault_that_nobody_knows_cannot_be_healed() -> None:
    done = CliRunner().invoke(bascule, ["heal", "link-cat"])
    assert done.exit_code == 2
    assert "there is no fault link-cat" in done.output


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], "bascule up --seed 7"),
        (["mine", "--no-load", "--json"], "bascule up mine --no-load --seed 7"),
        (["--lab", "mine", "--reads-per-s", "0"], "bascule up --lab mine --reads-per-s 0 --seed 7"),
        (["--ports", "15432", "--rate", "5"], "bascule up --rate 5 --ports 15432 --seed 7"),
    ],
)
def test_the_command_that_raises_it_again(words: list[str], command: str) -> None:
    parsed = up.make_context("up", list(words)).params
    assert replay_command(up, parsed, 7, _built_in()) == command
