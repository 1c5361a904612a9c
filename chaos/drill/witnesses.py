"""The witnesses of a drill: started beside etcd, and what they do as events.

They are the product, not a part of the drill: ``bascule witness`` with a configuration of its own,
one in every site that has etcd. Their keys in etcd say what they do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from chaos.drill.recorder import Recorder
from chaos.errors import PreflightError
from chaos.evidence.events import WitnessActed, WitnessStarted, WitnessVoted
from cluster.etcd.keys import follow_prefix
from cluster.etcd.member import CLIENT_PORT
from cluster.etcd.users import WITNESS
from cluster.patroni.config import NAMESPACE
from cluster.raised import RaisedCluster
from cluster.substrates.base import Process
from cluster.toml.reader import quote
from cluster.topology.model import Topology
from replication.config.settings import Dcs
from replication.witness.keys import KeyNames

UNIT = "witness"
LISTEN = "127.0.0.1:9188"
START_TIMEOUT_S = 60.0
"""Python loads in a second; three at a time took 9 s on a machine that others kept busy."""
POLL_S = 0.1
PASSWORD_VARIABLE = "BASCULE_ETCD_PASSWORD"
"""Of the environment of a witness, where etcd has users."""


def key_names(topology: Topology, *, is_dry: bool = False) -> KeyNames:
    """The names of the keys of the drill's cluster, as witnesses know them that act or are dry."""
    dcs = Dcs(endpoints=("http://any:2379",), scope=topology.cluster.scope, namespace=NAMESPACE)
    return KeyNames(dcs, is_dry=is_dry)


def config_text(cluster: RaisedCluster, host: str) -> str:
    """The configuration of the witness on ``host``, its own site's etcd first."""
    substrate = cluster.substrate
    topology = substrate.topology
    own = topology.site_of(host).name
    members = [member.name for member in topology.main.hosts_with("etcd")]
    members.sort(key=lambda member: topology.site_of(member).name != own)
    sites = [topology.site_of(one.name).name for one in topology.witness_hosts]
    endpoints = [f"http://{substrate.address(member)}:{CLIENT_PORT}" for member in members]
    return "\n".join(
        [
            "[bascule.witness]",
            f"site = {quote(own)}",
            f"sites = [{', '.join(map(quote, sites))}]",
            "",
            "[bascule.witness.dcs]",
            f"scope = {quote(topology.cluster.scope)}",
            f"namespace = {quote(NAMESPACE)}",
            f"endpoints = [{', '.join(map(quote, endpoints))}]",
            *_login(topology),
            "",
        ]
    )


def _login(topology: Topology) -> list[str]:
    if not topology.cluster.etcd_auth:
        return []
    return [f"user = {quote(WITNESS)}", f"password_env = {quote(PASSWORD_VARIABLE)}"]


async def start_witnesses(
    cluster: RaisedCluster, folder: Path, recorder: Recorder, *, options: Sequence[str] = ()
) -> None:
    """Start one beside the etcd of every site, and wait until each watches.

    Args:
        cluster: whole.
        folder: the run folder.
        recorder: is told of each.
        options: of ``bascule witness`` beside its configuration.

    Raises:
        PreflightError: one of them is not there in time.
    """
    substrate = cluster.substrate
    topology = substrate.topology
    hosts = [host.name for host in topology.witness_hosts]
    names = key_names(topology, is_dry="--dry-run" in options)
    configs = folder / "config"
    configs.mkdir(exist_ok=True)
    for host in hosts:
        text = config_text(cluster, host)
        (configs / f"{UNIT}-{host}.toml").write_text(text, encoding="utf-8")
        words = ("witness", "--config", "/dev/stdin", "--listen", LISTEN, *options)
        process = Process(
            name=UNIT,
            argv=(substrate.python, "-m", "chaos", *words),
            stdin=text,  # a container beside etcd has no folder of this machine
            secrets={PASSWORD_VARIABLE: cluster.credentials.etcd_witness}
            if topology.cluster.etcd_auth
            else {},
        )
        await cluster.start_companion(host, process)
    waiting = {host: topology.site_of(host).name for host in hosts}
    with anyio.move_on_after(START_TIMEOUT_S):
        while waiting:
            for host, site in list(waiting.items()):
                if await cluster.etcd.value(host, names.alive(site)) is not None:
                    del waiting[host]
                    recorder.event(WitnessStarted(t_s=time.monotonic(), host=host, site=site))
            await anyio.sleep(POLL_S)
    if waiting:
        raise PreflightError(
            f"no witness watches on {', '.join(waiting)} after {START_TIMEOUT_S:g} s;"
            f" see logs/*.{UNIT}.log"
        )
    recorder.say(f"witnesses watch on {', '.join(hosts)}")


class WitnessObserver:
    """Reports what the witnesses do, as their keys say, until cancelled."""

    def __init__(self, cluster: RaisedCluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._names = key_names(cluster.substrate.topology)
        self._voted = set[str]()

    async def run(self) -> None:
        """Follow their keys in every member of etcd."""
        substrate = self._cluster.substrate
        await follow_prefix(
            substrate.console,
            self._cluster.dcs_hosts,
            self._names.own,
            self._changed,
            self._cluster.etcd_login,
        )

    def _changed(self, key: str, value: bytes | None, revision: int) -> None:
        if value is None:
            return
        now_s = time.monotonic()
        said = json.loads(value)
        if key.startswith(self._names.votes) and key not in self._voted:
            self._voted.add(key)  # it is renewed while its reason lasts
            self._recorder.event(
                WitnessVoted(
                    t_s=now_s,
                    witness=key.rpartition("/")[2],
                    leader=said["leader"],
                    reason=said["reason"],
                    revision=revision,
                )
            )
        elif key.startswith(self._names.act(0)[:-1]):
            self._recorder.event(
                WitnessActed(
                    t_s=now_s,
                    witness=said["by"],
                    leader=said["leader"],
                    voted_by=",".join(said["voted_by"]),
                    case=said["case"],
                    reason=said["reason"],
                    revision=revision,
                )
            )
            self._recorder.say(
                f"the witnesses end the lease of {said['leader']}: {said['reason']}", loud=True
            )
