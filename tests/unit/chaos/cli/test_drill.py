"""``bascule drill``: what it refuses before anything is raised."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from chaos.cli.main import bascule
from chaos.errors import ScenarioError


def test_plain_psycopg_is_refused_where_a_workload_needs_the_storage_layer() -> None:
    done = CliRunner().invoke(bascule, ["drill", "--workload", "bulk", "--client", "psycopg"])
    assert done.exit_code == 2
    assert "--client: the workload bulk needs the storage layer" in done.stderr
    assert "plain psycopg does ledger, transfers, append" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workload", "append", "--option", "isolation=none"], "read-committed, repeatable-read"),
        (["--workload", "append", "--option", "isolated=1"], "did you mean isolation?"),
        (["--option", "accounts=5"], "the workload ledger: it has no options"),
    ],
)
def test_options_that_a_workload_has_not_are_refused(words: list[str], told: str) -> None:
    done = CliRunner().invoke(bascule, ["drill", *words])
    assert isinstance(done.exception, ScenarioError)
    assert told in str(done.exception)
