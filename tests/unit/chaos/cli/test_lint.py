"""``bascule lint``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from chaos.cli.main import bascule
from cluster.topology.load import topology_source


def run(*arguments: str) -> Result:
    return CliRunner().invoke(bascule, ["lint", *arguments])


def lines(result: Result) -> list[str]:
    return [line.strip() for line in result.stdout.splitlines() if line.strip()]


def test_a_good_one_in_short() -> None:
    done = run("three-sites")
    assert done.exit_code == 0
    said = lines(done)
    assert said[:4] == [
        "three-sites: 3 sites, 9 hosts",
        "survives the loss of any one host",
        "survives the loss of the power of any one site: every other site is served",
        "survives the loss of the links of any one site: every other site is served",
    ]
    assert "of the losses of two hosts it survives 9 of 15; not:" in said
    assert said[-1].startswith("good: ")
    assert len(said) < 16
    assert "and 2 notes: bascule lint three-sites --all" in done.stderr


def test_all_names_every_loss_and_every_note() -> None:
    said = lines(run("three-sites", "--all"))
    assert "survives the loss of host dcs-orsay" in said
    for begin in ("does not survive the loss of hosts db-paris and db", "note: a primary that"):
        assert any(line.startswith(begin) for line in said)


def test_a_bad_one_says_what_stands_against_it(tmp_path: Path) -> None:
    text = topology_source("two-sites-witness")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("synchronous_node_count = 2", "synchronous_node_count = 1"))
    done = run(str(path))
    assert done.exit_code == 1
    said = lines(done)
    assert "of the losses of the power of one site it survives 1 of 3; not:" in said
    assert any(line.startswith("trap: site paris has 2 PostgreSQL") for line in said)
    assert "remedy: synchronous_node_count = 2 forces a copy elsewhere" in said
    assert "source: patroni issues 1915 and 1565" in said
    assert said[-1] == (
        "can be raised, but: not safe against the loss of the power of a site (paris, orsay), or "
        "the links of a site (paris, orsay); 2 known traps"
    )


def test_async_is_not_good_though_it_survives(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(topology_source("three-sites").replace('"quorum"', '"async"'))
    done = run(str(path))
    assert done.exit_code == 1
    assert "but with db-paris, db-orsay, db-saint-cloud, commits that the lost primary" in (
        done.stdout
    )


def test_as_json() -> None:
    done = run("two-sites-witness", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["good"], found["topology"]) == (0, True, "two-sites-witness")
    [cut] = [
        one for one in found["claims"] if (one["loss"], one["names"]) == ("site-cut", ["paris"])
    ]
    assert cut["survives"] is True
    assert cut["sites"]["orsay"]["write"] == {"served": True, "why": ""}
    assert cut["sites"]["paris"]["write"]["served"] is False
    assert cut["sites"]["paris"]["read-replica"]["served"] is True
    assert {"key", "note", "words", "remedy", "source"} == set(found["traps"][0])


def test_what_cannot_be_read_is_a_mistake_of_usage() -> None:
    assert run("nowhere").exit_code != 0
    assert run().exit_code == 2
