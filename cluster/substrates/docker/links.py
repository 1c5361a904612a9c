"""Which networks the hosts are on: their site's and the WAN, but for what is cut.

A container that leaves a network sends and receives nothing there any more, and no peer is told; it
comes back with the address that it had, so that its connections live on.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import anyio

from cluster.errors import EngineError
from cluster.substrates.docker import client as docker
from cluster.substrates.docker.addresses import WAN
from cluster.substrates.docker.project import network_name
from cluster.topology.model import Topology

CUT, FLAPPING = "cut", "flapping"
"""Why a host is off its networks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A container of a host on the host's networks."""

    container: str
    alias: str
    """The engine's resolver knows it by this name; every other host has it in ``/etc/hosts``."""
    at_site: str
    at_wan: str


class Links:
    """Cuts and heals. Every change is shielded: a link is cut or whole, never half.

    Args:
        topology: what was raised.
        run: what its project is called.
        attachments: those of a host's containers, as they are now.
    """

    def __init__(
        self, topology: Topology, run: str, attachments: Callable[[str], Iterable[Attachment]]
    ) -> None:
        self._topology = topology
        self._run = run
        self._attachments = attachments
        self._cut: dict[str, set[str]] = {}
        """Hosts whose link is cut, or whose power, and what keeps it so: at least one reason."""
        self._changing: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        """By host: a cut that begins while another one is healed waits for it."""
        self._apart: set[str] = set()
        """Sites that are cut off."""

    async def cut_link(self, host: str, reason: str = CUT) -> None:
        """Take a host off its site's network and the WAN."""
        async with self._changing[host]:
            reasons = self._cut.setdefault(host, set())
            reasons.add(reason)
            if reasons == {reason}:
                with anyio.CancelScope(shield=True):
                    await self._leave([host], (self._topology.site_of(host).name, WAN))

    async def heal_link(self, host: str, reason: str = CUT) -> None:
        """Put it back on both, unless something else cuts it; not on the WAN while its site is cut
        off."""
        async with self._changing[host]:
            reasons = self._cut.get(host, set())
            if reasons == {reason}:
                with anyio.CancelScope(shield=True):
                    await self.join(host)
                del self._cut[host]
            else:
                reasons.discard(reason)

    async def cut_site(self, site: str) -> None:
        """Take every host of a site off the WAN; on the site's own network everything goes on."""
        self._apart.add(site)
        with anyio.CancelScope(shield=True):
            await self._leave(self._hosts_of(site), (WAN,))

    async def heal_site(self, site: str) -> None:
        """Put them back, except those whose own link is cut."""
        self._apart.discard(site)
        with anyio.CancelScope(shield=True):
            for host in self._hosts_of(site):
                if host not in self._cut:
                    await self.join(host)

    async def join(self, host: str) -> None:
        """Put a host on its networks, except the WAN while its site is cut off. Idempotent."""
        site = self._topology.site_of(host).name
        for one in self._attachments(host):
            await self._connect(one, site, one.at_site)
            if site not in self._apart:
                await self._connect(one, WAN, one.at_wan)

    async def arrive(self, host: str, container: str) -> None:
        """A new container of a host, which is on the site's network, goes where the host is: on the
        WAN too, if it may be, and on none while its link is cut."""
        if host in self._cut:
            await self._disconnect(container, self._topology.site_of(host).name)
        else:
            await self.join(host)

    def _hosts_of(self, site: str) -> list[str]:
        hosts = (host.name for host in self._topology.hosts)
        return [host for host in hosts if self._topology.site_of(host).name == site]

    async def _leave(self, hosts: Iterable[str], networks: Iterable[str]) -> None:
        async with anyio.create_task_group() as cuts:
            for host, network in itertools.product(hosts, networks):
                for one in self._attachments(host):
                    cuts.start_soon(self._disconnect, one.container, network)

    async def _connect(self, one: Attachment, network: str, address: str) -> None:
        name = network_name(self._run, network)
        at = ["--ip", address, "--alias", one.alias]
        try:
            await docker.run("network", "connect", *at, name, one.container)
        except EngineError as error:
            if "already exists in network" not in str(error):  # a cut that failed left it there
                raise

    async def _disconnect(self, container: str, network: str) -> None:
        name = network_name(self._run, network)
        try:
            await docker.run("network", "disconnect", name, container)
        except EngineError as error:
            if "is not connected" not in str(error):
                raise
