"""One is no plural: nothing says "1 sites"."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from chaos.cli.topologies import topologies
from cluster.topology.load import topology_source

ROOT = Path(__file__).parents[4]
COUNTED = re.compile(
    r"\{(?:len\([^{}]*\)|(?:[a-z_.]*\.)?(?:runs|rounds|count))(?::,)?\} "
    r"(?!is |does |has |ends |forces )(?:[a-z]+ )?[a-z]+s\b"
)
"""A number of things before their plural, in an f-string."""
ALWAYS_SEVERAL = {
    "replication/patroni/answers.py",  # one member has words of its own
    "cluster/errors.py",  # one problem has no heading
    "replication/access/problems.py",
    "cluster/substrates/docker/project.py",  # of a host that has more than one role
    "cluster/topology/rules.py",  # more than sixty
    "chaos/report/figures.py",  # more than four
    "chaos/testing/plugin.py",  # more than one marker
}


def test_numbers_of_things_are_written_with_counted() -> None:
    assert COUNTED.search('f"{len(topology.sites)} sites"')
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for package in ("chaos", "cluster", "replication")
        for path in sorted((ROOT / package).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in ALWAYS_SEVERAL
        for match in COUNTED.finditer(path.read_text())
    ]
    assert found == []


def test_a_check_of_a_topology_counts_and_its_verdict_fits_the_advice(tmp_path: Path) -> None:
    good = CliRunner().invoke(topologies, ["check", "three-sites"]).stdout
    assert good == "three-sites: 3 sites, 9 hosts; good: no trap is known in it\n"
    one_site = topology_source("three-sites").split("[[site]]")
    (tmp_path / "one.toml").write_text("[[site]]".join(one_site[:2]))
    async_one = (tmp_path / "one.toml").read_text().replace('"quorum"', '"async"')
    (tmp_path / "one.toml").write_text(async_one.replace("witness = true", "witness = false"))
    *said, verdict = (
        CliRunner().invoke(topologies, ["check", str(tmp_path / "one.toml")]).stdout.splitlines()
    )
    assert len(said) == 2
    assert all(line.startswith("advice: site paris has ") for line in said)
    assert verdict == (
        "three-sites: 1 site, 3 hosts; can be raised, with 2 known traps (the advice above)"
    )
