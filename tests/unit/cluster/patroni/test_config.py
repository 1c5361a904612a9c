"""Patroni's configuration where witnesses watch: its own etcd first, and the gate."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.patroni.config import GATE, render_config
from cluster.topology.load import load_builtin
from cluster.topology.model import Topology
from replication.witness import gate

THREE = load_builtin("three-sites")


@dataclass(frozen=True)
class Places:
    """Where everything is, of hosts that nobody raises."""

    topology: Topology
    python: str = sys.executable

    def address(self, host: str) -> str:
        return f"{host}.example"

    def data_folder(self, host: str) -> Path:
        return Path("/disk") / host


def rendered(*, witness: bool, gate: bool = True, program: tuple[str, ...] = ()) -> dict[str, Any]:
    settings = replace(THREE.cluster, witness=witness, witness_gate=gate)
    places = Places(replace(THREE, cluster=settings))
    return render_config(places, "db-orsay", Path("/pg/bin"), gate=program)  # type: ignore[arg-type, return-value]


def test_a_winner_waits_for_the_gate_where_witnesses_watch() -> None:
    python, isolated, bare, program, *words = shlex.split(
        rendered(witness=True)["postgresql"]["pre_promote"]
    )
    assert (python, isolated, bare) == (sys.executable, "-I", "-S")
    assert Path(program) == GATE == Path(gate.__file__)
    options = gate.options_of(words)
    assert (options.name, options.scope) == ("db-orsay", THREE.cluster.scope)
    assert options.etcd[0] == "http://dcs-orsay.example:2379"
    assert len(options.etcd) == 3
    assert THREE.cluster.loop_wait_s < options.wait_s < THREE.cluster.ttl_s


def test_the_gate_is_run_as_the_hosts_have_it() -> None:
    ours, theirs = (
        shlex.split(rendered(witness=True, program=program)["postgresql"]["pre_promote"])
        for program in ((), ("/bin/py", "/opt/gate.py"))
    )
    assert theirs == ["/bin/py", "/opt/gate.py", *ours[4:]]


def test_the_own_sites_etcd_is_the_first_and_patroni_takes_no_other() -> None:
    etcd = rendered(witness=True)["etcd3"]
    assert etcd["hosts"][0] == "dcs-orsay.example:2379"
    assert etcd["use_proxies"] is True


def test_without_witnesses_and_without_the_gate_patroni_is_as_ever() -> None:
    assert "pre_promote" not in rendered(witness=True, gate=False)["postgresql"]
    plain = rendered(witness=False)
    assert "pre_promote" not in plain["postgresql"]
    assert "use_proxies" not in plain["etcd3"]
