"""The lab's network: a namespace a host, a router a site, and the WAN that joins the routers.

::

    host --eth0 ... port<n>-- router of the site --wan0 ... site<i>-- [bridge] WAN

Site ``i`` is 10.77.i.0/24, its router .1 and its hosts from .11 on; the routers' other side is
10.78.0.i/24. Nothing leads out of the lab: its namespaces have no uplink.

A router has one port a host and routes between them. A bridge there would be the usual picture, but
the kernel takes up to a second to notice that a new bridge has a carrier, and drops what the router
sends into it until then (``net/core/link_watch.c``): a first SYN that is lost costs one second.

The plan is pure (addresses, and what to tell ``ip -batch`` in each namespace); ``build_network``,
``set_link`` and ``set_cuts`` run it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from subprocess import PIPE

import anyio

from cluster.errors import LabError
from cluster.topology.model import Topology

WAN = "wan"
FIRST_HOST = 11
COMMAND_TIMEOUT_S = 10.0
"""A batch of ``ip`` takes some milliseconds; this only bounds a machine that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lines for one ``ip -batch`` in one namespace (None: the lab's own)."""

    namespace: str | None
    lines: tuple[str, ...]


def router_of(site: str) -> str:
    """The namespace of a site's router."""
    return f"router-{site}"


def port_of(number: int) -> str:
    """The router's end of the link of host ``number`` (from 1): names are at most 15 bytes."""
    return f"port{number}"


def addresses(topology: Topology) -> dict[str, str]:
    """The address of every host, in the order of the topology."""
    return {
        host.name: f"10.77.{site_number}.{FIRST_HOST + index}"
        for site_number, site in enumerate(topology.sites, start=1)
        for index, host in enumerate(site.hosts)
    }


def plan_network(topology: Topology) -> Iterator[Batch]:
    """Every batch that builds the network, in the order in which they must run."""
    sites = list(enumerate(topology.sites, start=1))
    namespaces = [WAN, *(router_of(site.name) for _, site in sites)]
    namespaces += [host.name for host in topology.hosts]
    yield Batch(
        namespace=None,
        lines=("link set lo up", *(f"netns add {namespace}" for namespace in namespaces)),
    )
    yield Batch(namespace=WAN, lines=("link add name wan type bridge", "link set wan up"))
    addresses_of = addresses(topology)
    for number, site in sites:
        router = router_of(site.name)
        lines = [
            "link set lo up",
            f"link add name wan0 type veth peer name site{number} netns {WAN}",
            f"address add 10.78.0.{number}/24 dev wan0",
            "link set wan0 up",
        ]
        for index, host in enumerate(site.hosts, start=1):
            port = port_of(index)
            lines += [
                f"link add name {port} type veth peer name eth0 netns {host.name}",
                f"address add 10.77.{number}.1/32 dev {port}",
                f"link set {port} up",
                f"route add {addresses_of[host.name]}/32 dev {port}",
            ]
        yield Batch(namespace=router, lines=tuple(lines))
        yield Batch(
            namespace=WAN,
            lines=(f"link set site{number} master wan", f"link set site{number} up"),
        )
        yield Batch(
            namespace=router,
            lines=tuple(
                f"route add 10.77.{other}.0/24 via 10.78.0.{other}"
                for other, _ in sites
                if other != number
            ),
        )
        for host in site.hosts:
            yield Batch(
                namespace=host.name,
                lines=(
                    "link set lo up",
                    f"address add {addresses_of[host.name]}/32 dev eth0",
                    "link set eth0 up",
                    f"route add 10.77.{number}.1/32 dev eth0",
                    # No default route: whoever looks for the outside (a DNS lookup) is told at
                    # once that there is none, instead of waiting five seconds for silence.
                    f"route add 10.77.0.0/16 via 10.77.{number}.1",
                ),
            )


def plan_link(topology: Topology, host: str, *, up: bool) -> Batch:
    """What pulls a host's cable, or plugs it in: the kernel forgets the route of a dead port."""
    site = topology.site_of(host)
    port = port_of([other.name for other in site.hosts].index(host) + 1)
    lines = [f"link set {port} {'up' if up else 'down'}"]
    if up:
        lines.append(f"route replace {addresses(topology)[host]}/32 dev {port}")
    return Batch(namespace=router_of(site.name), lines=tuple(lines))


def plan_cuts(topology: Topology, cut: Collection[str]) -> Iterator[Batch]:
    """What cuts these sites off from all others, and no other site from any: the routers drop what
    would cross the WAN, in silence (a blackhole route, ip-route(8)), in both directions."""
    sites = list(enumerate(topology.sites, start=1))
    for number, site in sites:
        lines = []
        for other, there in sites:
            if other != number:
                target = f"10.77.{other}.0/24"
                apart = site.name in cut or there.name in cut
                way = f"blackhole {target}" if apart else f"{target} via 10.78.0.{other}"
                lines.append(f"route replace {way}")
        yield Batch(namespace=router_of(site.name), lines=tuple(lines))


async def build_network(topology: Topology) -> None:
    """Make the namespaces, links, addresses and routes, and let the routers forward.

    Raises:
        LabError: a command of the plan failed; its text is in the message.
    """
    for batch in plan_network(topology):
        if batch.lines:
            await run_batch(batch)
    for site in topology.sites:
        enter = ["ip", "netns", "exec", router_of(site.name)]
        await run([*enter, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])


async def set_link(topology: Topology, host: str, *, up: bool) -> None:
    """Plug a host's cable in, or pull it, at the router's end.

    Raises:
        LabError: the command failed.
    """
    await run_batch(plan_link(topology, host, up=up))


async def set_cuts(topology: Topology, cut: Collection[str]) -> None:
    """Have exactly these sites cut off from all others.

    Raises:
        LabError: a command failed.
    """
    for batch in plan_cuts(topology, cut):
        if batch.lines:
            await run_batch(batch)


async def run_batch(batch: Batch) -> None:
    """Run one batch of ``ip`` commands."""
    where = ["-n", batch.namespace] if batch.namespace else []
    await run(["ip", *where, "-batch", "-"], stdin="\n".join(batch.lines))


async def run(argv: list[str], *, stdin: str = "") -> str:
    """Run a short command to its end and return what it printed.

    Raises:
        LabError: it failed or took longer than ``COMMAND_TIMEOUT_S``.
    """
    try:
        with anyio.fail_after(COMMAND_TIMEOUT_S):
            done = await anyio.run_process(
                argv, input=stdin.encode(), stdout=PIPE, stderr=PIPE, check=False
            )
    except (TimeoutError, OSError) as error:
        raise LabError(f"{argv[0]} did not run: {error or 'timed out'}") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()
        raise LabError(f"{' '.join(argv)} failed ({done.returncode}): {words}\n{stdin}")
    return done.stdout.decode(errors="replace")
