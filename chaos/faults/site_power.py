"""A whole site loses its power in one moment; later it comes back with its disks.

The client's host of the site keeps its power, because its load is what knows how the site is
served. It is cut off from everybody instead: what its users feel is the same, and the site counts
as one that cannot be served until the power is back.

Where somebody has taken the service up elsewhere by hand (``promoted-by-hand``), the site must be
``fenced``: what comes back by itself is the cluster of then (``site_anew``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from chaos.faults.base import Chances, FaultKind, FaultParams, FaultWords, Stage
from chaos.faults.site_anew import join_anew
from chaos.faults.targets import SITES, Victim
from chaos.wording import joined, plural
from cluster.errors import HostError
from cluster.etcd.member import CLIENT_PORT
from cluster.patroni.config import REST_PORT
from cluster.substrates.base import Cuttable, Killable, Process
from cluster.toml.reader import TomlTable
from cluster.topology.model import HostRole, Topology

KEY = "site-power-cut"
PROBE = "hears-nobody"
PORTS: Mapping[HostRole, int] = {"etcd": CLIENT_PORT, "postgres": REST_PORT}
"""Where the hosts of these roles answer."""
SILENCE_S = 1.0
"""How long the client's host tries to reach the others. Within a site or across a WAN of Europe an
answer takes some hundredths of that."""
HEARS = """
import asyncio, sys
async def hears(address, port):
    try:
        await asyncio.wait_for(asyncio.open_connection(address, int(port)), float(sys.argv[1]))
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    return True
async def main():
    tried = [hears(*one.rsplit(":", 1)) for one in sys.argv[2:]]
    sys.exit(any(await asyncio.gather(*tried)))
asyncio.run(main())
"""
"""Exits with 0 if none of the addresses answers, not even to refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePowerParams(FaultParams):
    """How the site comes back."""

    fenced: bool | None = None
    """Nothing starts by itself: etcd joins the cluster of now as a new member, then Patroni starts
    with the old data. None: everything starts as it was."""


def read(table: TomlTable) -> SitePowerParams:
    """``fenced``."""
    return SitePowerParams(fenced=table.flag("fenced") if table.has("fenced") else None)


async def cut_power(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """Kill every host of the site but the client's, all at once, and cut that one off.

    Raises:
        HostError: something of the site still answers, or is still answered.
    """
    machine, cables = stage.able(Killable), stage.able(Cuttable)
    dark, clients = split(stage.cluster.substrate.topology, victim.hosts)
    begin_s = time.monotonic()
    async with anyio.create_task_group() as cuts:
        for host in dark:
            cuts.start_soon(machine.kill_host, host)
        for host in clients:
            cuts.start_soon(cables.cut_link, host)
    took_s = time.monotonic() - begin_s
    await _prove_dark(stage, dark)
    for host in clients:
        await _prove_cut_off(stage, host, victim.hosts)
    words = f"every process of {joined(dark)} dead within {took_s:.2f} s: none answers any more"
    if clients:
        words += (
            f"; {joined(clients)}, where the load runs, keeps its power and is cut off from "
            f"everybody: nobody answered it for {SILENCE_S:g} s"
        )
    return words


async def give_power_back(stage: Stage, victim: Victim, params: SitePowerParams) -> str:
    """Power on for every host that has none, and etcd and Patroni started as at boot."""
    if params.fenced:
        joined_anew = await join_anew(stage, victim, keeps_data=True)
        words = "; ".join(joined_anew)
        return f"power on, held back: {words}" if words else "the power was back already"
    machine, cables = stage.able(Killable), stage.able(Cuttable)
    hosts, clients = split(stage.cluster.substrate.topology, victim.hosts)
    dark = [host for host in hosts if not machine.has_power(host)]
    started: dict[str, tuple[str, ...]] = {}

    async def boot(host: str) -> None:
        await machine.start_host(host)
        started[host] = await stage.cluster.start_services(host)

    async with anyio.create_task_group() as boots:
        for host in clients:
            boots.start_soon(cables.heal_link, host)
        for host in dark:
            boots.start_soon(boot, host)
    units = [f"{', '.join(started[host])} on {host}" for host in dark if started[host]]
    return f"power on, started {'; '.join(units)}" if units else "the power was back already"


def split(topology: Topology, hosts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The hosts that lose their power, and those of clients, which do not."""
    clients = {host.name for host in topology.hosts_with("client")}
    return (
        tuple(host for host in hosts if host not in clients),
        tuple(host for host in hosts if host in clients),
    )


async def _prove_dark(stage: Stage, hosts: Sequence[str]) -> None:
    """Nothing on these hosts answers, also over their consoles, which no cut of a link touches."""
    cluster, machine = stage.cluster, stage.able(Killable)
    for host in hosts:
        roles = cluster.substrate.topology.host(host).roles
        answers = machine.has_power(host)
        if "postgres" in roles:
            answers = answers or await cluster.rest[host].member() is not None
        if "etcd" in roles:
            answers = answers or await cluster.etcd.has_members(host)
        if answers:
            raise HostError(f"{host} was to lose its power, and still answers", host=host)


async def _prove_cut_off(stage: Stage, client: str, site: Sequence[str]) -> None:
    """Whoever tries from the client's host to reach the others hears nothing."""
    substrate = stage.cluster.substrate
    others = [
        f"{substrate.address(host.name)}:{port}"
        for host in substrate.topology.hosts
        for role, port in PORTS.items()
        if role in host.roles and host.name not in site
    ]
    argv = (substrate.python, "-c", HEARS, str(SILENCE_S), *others)
    await substrate.start_unit(client, Process(name=PROBE, argv=argv))
    if await substrate.wait_unit(client, PROBE) != 0:
        raise HostError(f"{client} was to be cut off, and still reaches others", host=client)


def cannot_lose_its_power(
    params: FaultParams, topology: Topology, hosts: Sequence[str]
) -> str | None:
    """The reason to refuse: a load would end with the power, or nothing would."""
    clients = [host for host in topology.hosts_with("client") if host.name in hosts]
    both = [host.name for host in clients if len(host.roles) > 1]
    if both:
        verb = "has" if len(both) == 1 else "have"
        return (
            f"the power cut of a site spares the host of its client, and in the topology "
            f"{topology.name} {joined(both)} {verb} other roles, too: give the client a host of "
            "its own"
        )
    for site in topology.sites:
        names = [host.name for host in site.hosts]
        if set(names) & set(hosts) and not split(topology, names)[0]:
            return (
                f"the power cut of a site spares the host of its client, and in the topology "
                f"{topology.name} the site {site.name} has nothing else"
            )
    return None


def sites_in_words(names: Sequence[str]) -> str:
    """``site paris``, ``sites paris and orsay``."""
    return f"{plural('site', names)} {joined(names)}"


SITE_POWER_CUT = FaultKind(
    key=KEY,
    words=FaultWords(
        title="power of the site cut",
        healed="power of the site back",
        noun=lambda sites: f"the power cut of the {sites_in_words(sites)}",
        clause=lambda sites: f"the {sites_in_words(sites)} lost {_their(sites)} power",
        broken=lambda site: f"site {site} has no power",
    ),
    params=SitePowerParams,
    read=read,
    takes=SITES,
    needs=(Killable, Cuttable),
    lasts=True,
    effect=lambda params: "power-off",
    strike=cut_power,
    undo=give_power_back,
    chances=Chances(weight=2.0),
    draw=lambda random: SitePowerParams(),
    impossible=cannot_lose_its_power,
)


def _their(names: Sequence[str]) -> str:
    return "its" if len(names) == 1 else "their"
