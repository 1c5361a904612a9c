"""The lab's network: a namespace a host, a router a site, and the WAN that joins the routers.

::

    host --eth0 ... port<n>-- router of the site --wan0 ... site<i>-- [bridge] WAN

Site ``i`` is 10.77.i.0/24, its router .1 and its hosts from .11 on; the routers' other side is
10.78.0.i/24. Nothing leads out of the lab: its namespaces have no uplink.

A router has one port a host and routes between them. A bridge would be more usual, but the kernel
takes up to a second to notice that a new bridge has a carrier, and until then drops what the router
sends into it (``net/core/link_watch.c``): the loss of a first SYN costs one second.

A cut link is silent on both sides for as long as the cut lasts: no packet, no RST, no ICMP, and no
error of the host's own kernel (docs/decisions/0004-lab-namespaces.md). So a router drops packets
for a dead port (a blackhole route, ip-route(8)), and each host has a permanent entry with its
router's hardware address: a kernel that cannot find that address says "no route to host" after
three seconds.

Each router knows the others' hardware addresses on the WAN, so nobody has to ask for them. The
bridge is the WAN as long as its links do nothing; else the relay is (``wan.py``).

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
GSO_SEGMENTS = 65535
"""As the kernel has it for a veth (GSO_MAX_SEGS)."""
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


def hardware_address(site_number: int, last_byte: int) -> str:
    """A locally administered address: made from 10.77.<site>.<last byte>."""
    return f"02:00:0a:4d:{site_number:02x}:{last_byte:02x}"


def wan_address(site_number: int) -> str:
    """The hardware address of a router on the WAN; its last byte names the site, for the relay."""
    return f"02:00:0a:4e:00:{site_number:02x}"


def router_address(site_number: int) -> str:
    """The address of a router on the WAN."""
    return f"10.78.0.{site_number}"


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
            f"link add name wan0 address {wan_address(number)}"
            f" type veth peer name site{number} netns {WAN}",
            f"address add {router_address(number)}/24 dev wan0",
            "link set wan0 up",
        ]
        for index, host in enumerate(site.hosts, start=1):
            port = port_of(index)
            lines += [
                f"link add name {port} address {hardware_address(number, 1)}"
                f" type veth peer name eth0 netns {host.name}",
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
                line
                for other, _ in sites
                if other != number
                for line in (
                    f"route add 10.77.{other}.0/24 via {router_address(other)}",
                    f"neighbour add {router_address(other)} lladdr {wan_address(other)}"
                    " dev wan0 nud permanent",
                )
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
                    f"neighbour add 10.77.{number}.1 lladdr {hardware_address(number, 1)}"
                    " dev eth0 nud permanent",
                    # No default route: a request to the outside (a DNS lookup) fails at once,
                    # instead of waiting five seconds for an answer.
                    f"route add 10.77.0.0/16 via 10.77.{number}.1",
                ),
            )


def plan_link(topology: Topology, host: str, *, up: bool) -> Batch:
    """The commands that pull a host's cable, or plug it in, at the router's end.

    The host keeps its addresses and routes, and loses its carrier. The router must forget the port
    before it goes down, or it would tell senders that the network is unreachable.
    """
    site = topology.site_of(host)
    port = port_of([other.name for other in site.hosts].index(host) + 1)
    address = addresses(topology)[host]
    lines = (
        (f"link set {port} up", f"route replace {address}/32 dev {port}")
        if up
        else (f"route replace blackhole {address}/32", f"link set {port} down")
    )
    return Batch(namespace=router_of(site.name), lines=lines)


def plan_cuts(topology: Topology, cut: Collection[str]) -> Iterator[Batch]:
    """The commands that cut off exactly these sites from all others: the routers silently drop what
    would cross the WAN, in both directions."""
    sites = list(enumerate(topology.sites, start=1))
    for number, site in sites:
        lines = []
        for other, there in sites:
            if other != number:
                target = f"10.77.{other}.0/24"
                apart = site.name in cut or there.name in cut
                way = f"blackhole {target}" if apart else f"{target} via {router_address(other)}"
                lines.append(f"route replace {way}")
        yield Batch(namespace=router_of(site.name), lines=tuple(lines))


def plan_carrier(topology: Topology, *, bridged: bool) -> Batch:
    """The commands that join the routers by the bridge, or leave their cables to the relay."""
    joined = f"master {WAN}" if bridged else "nomaster"
    numbers = range(1, len(topology.sites) + 1)
    return Batch(namespace=WAN, lines=tuple(f"link set site{n} {joined}" for n in numbers))


def plan_whole_frames(site: str, *, whole: bool) -> Batch:
    """The commands that have a router send bursts of TCP to the WAN as one frame, or cut them into
    packets before (the kernel does so where a burst has more segments than the device takes)."""
    segments = GSO_SEGMENTS if whole else 1
    return Batch(namespace=router_of(site), lines=(f"link set dev wan0 gso_max_segs {segments}",))


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


async def run(argv: list[str], *, stdin: str = "", timeout_s: float = COMMAND_TIMEOUT_S) -> str:
    """Run a short command to its end and return what it printed.

    Raises:
        LabError: it failed or took longer than ``timeout_s``.
    """
    try:
        with anyio.fail_after(timeout_s):
            done = await anyio.run_process(
                argv, input=stdin.encode(), stdout=PIPE, stderr=PIPE, check=False
            )
    except (TimeoutError, OSError) as error:
        raise LabError(f"{argv[0]} did not run: {error or 'timed out'}") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()
        raise LabError(f"{' '.join(argv)} failed ({done.returncode}): {words}\n{stdin}")
    return done.stdout.decode(errors="replace")
