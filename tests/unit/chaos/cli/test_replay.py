"""The command that runs the same drill again, as a report shows it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.cli.drill import _built_in, drill
from chaos.cli.replay import NOT_REPLAYED, replay_command


def parse(words: list[str]) -> dict[str, object]:
    """The parameters that ``bascule drill`` makes of what is typed after it."""
    return drill.make_context("drill", list(words)).params


def again(words: list[str], seed: int = 7) -> str:
    return replay_command(drill, parse(words), seed, _built_in())


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], "bascule drill host-loss --seed 7"),
        (["host-loss"], "bascule drill host-loss --seed 7"),
        (["--", "host-loss"], "bascule drill host-loss --seed 7"),
        (["--ttl", "30", "--", "steady"], "bascule drill steady --ttl 30 --seed 7"),
        (["host-loss", "--out", "runs/a", "--seed=3"], "bascule drill host-loss --seed 7"),
        (["--out", "host-loss"], "bascule drill host-loss --seed 7"),
        (["host-loss", "--ttl", "30"], "bascule drill host-loss --ttl 30 --seed 7"),
        (["--ttl=30", "host-loss"], "bascule drill host-loss --ttl 30 --seed 7"),
        (["--json", "--quiet", "host-loss"], "bascule drill host-loss --seed 7"),
        (
            ["--topology", "three-sites"],  # a scenario may be made for another
            "bascule drill host-loss --topology three-sites --seed 7",
        ),
        (["--no-witness"], "bascule drill host-loss --no-witness --seed 7"),
        (["--witness", "steady"], "bascule drill steady --witness --seed 7"),
        (["--rate", "0.5"], "bascule drill host-loss --rate 0.5 --seed 7"),
        (
            ["--workload", "append", "--option", "isolation=serializable", "--option=keys=3"],
            "bascule drill host-loss --workload append --option isolation=serializable"
            " --option keys=3 --seed 7",
        ),
        (["/a b/it's.toml"], "bascule drill '/a b/it'\"'\"'s.toml' --seed 7"),
    ],
)
def test_same_options_same_seed_a_folder_of_its_own(words: list[str], command: str) -> None:
    assert again(words) == command


def test_a_file_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the command can be run in another folder than the drill was."""
    monkeypatch.chdir(tmp_path)
    words = ["mine.toml", "--topology", "two sites/my.toml", "--pg-bindir", "pg/bin"]
    assert again(words) == (
        f"bascule drill {tmp_path}/mine.toml --topology '{tmp_path}/two sites/my.toml'"
        f" --pg-bindir {tmp_path}/pg/bin --seed 7"
    )


texts = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12
)
whole = st.integers(0, 10**6).map(str)
OPTIONS: dict[str, st.SearchStrategy[str]] = {
    "--topology": st.sampled_from(["three-sites", "two-sites-witness"]) | texts,
    "--substrate": st.sampled_from(["lab", "compose"]),
    "--durability": st.sampled_from(["quorum", "async"]),
    "--workload": st.sampled_from(["ledger", "transfers", "bulk"]),
    "--ttl": whole,
    "--loop-wait": whole,
    "--retry-timeout": whole,
    "--rate": st.floats(0.001, 5000).map(repr),
    "--workers": st.integers(1, 200).map(str),
    "--deadline": st.floats(1, 600).map(repr),
    "--seed": whole,
    "--out": texts,
    "--pg-bindir": texts,
    "--metrics": st.integers(1, 65535).map(str),
}
FLAGS = ("--keep", "--json", "--quiet", "--witness", "--no-witness")


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """What somebody may type after ``bascule drill``: options in any order, before the scenario or
    after it, joined by ``=`` or not, and ``--`` or none."""
    options: list[list[str]] = []
    for name in draw(st.lists(st.sampled_from(sorted(OPTIONS)), unique=True)):
        value = draw(OPTIONS[name])
        options.append([f"{name}={value}"] if draw(st.booleans()) else [name, value])
    options += [[flag] for flag in draw(st.lists(st.sampled_from(FLAGS), unique=True))]
    options = draw(st.permutations(options))
    scenario = draw(st.none() | st.sampled_from(["host-loss", "steady"]) | texts)
    words = [word for option in options for word in option]
    if scenario is None:
        return words
    if scenario.startswith("-") or draw(st.booleans()):
        return [*words, "--", scenario]
    place = draw(st.integers(0, len(options)))
    before = [word for option in options[:place] for word in option]
    return [*before, scenario, *(word for option in options[place:] for word in option)]


def whole_paths(parsed: dict[str, object]) -> dict[str, object]:
    """The parameters that count, every file by its whole path."""
    found = {name: value for name, value in parsed.items() if name not in NOT_REPLAYED}
    for name, names in _built_in().items():
        if found[name] not in names:
            found[name] = os.path.abspath(str(found[name]))
    if found["pg_bindir"] is not None:
        found["pg_bindir"] = Path(os.path.abspath(str(found["pg_bindir"])))
    return found


@given(words=lines(), seed=st.integers(0, 2**31))
def test_every_replay_command_parses_to_the_same_options(words: list[str], seed: int) -> None:
    parsed = parse(words)
    bascule, name, *rest = shlex.split(replay_command(drill, parsed, seed, _built_in()))
    assert (bascule, name) == ("bascule", "drill")
    replayed = parse(rest)
    assert replayed["seed"] == seed
    assert replayed["out"] is replayed["metrics"] is None
    assert whole_paths(replayed) == whole_paths(parsed)
    # And the command of that drill is the same command.
    assert shlex.split(replay_command(drill, replayed, seed, _built_in()))[2:] == rest
