"""The command that runs the same drill again, as a report shows it."""

from __future__ import annotations

import pytest

from chaos.cli.drill import replay_command


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["drill"], "bascule drill host-loss --seed 7"),
        (["drill", "host-loss"], "bascule drill host-loss --seed 7"),
        (["drill", "--", "host-loss"], "bascule drill host-loss --seed 7"),
        (["drill", "host-loss", "--out", "runs/a", "--seed=3"], "bascule drill host-loss --seed 7"),
        (["drill", "host-loss", "--ttl", "30"], "bascule drill host-loss --ttl 30 --seed 7"),
        (["drill", "--json", "--quiet", "host-loss"], "bascule drill host-loss --seed 7"),
    ],
)
def test_same_words_same_seed_a_folder_of_its_own(words: list[str], again: str) -> None:
    assert replay_command(words, "host-loss", 7) == again
