"""The messages about a cluster for tests: its state, requests, its doors. Values only.

They cross the control channel as JSON (``chaos.decode``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chaos.evidence.records import Scalar

Mode = Literal["lab", "docker"]
RequestKind = Literal["ready", "look", "nudge", "strike", "start", "heal", "undo", "load", "down"]

HOST = "127.0.0.1"
"""Every door is on the loopback of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing that is asked of who has the cluster; which fields count depends on ``op``."""

    op: RequestKind
    fault: str = ""
    target: str = ""
    """As in a scenario, or a host. Of ``load``: ``start`` or ``stop``."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    """The parameters of the fault besides its target."""
    seed: int | None = None
    """Chooses whom the target leaves to chance; None: the system does."""
    host: str = ""
    """Of ``undo``: whom the fault struck, a host or a site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """What a member's Patroni says of it."""

    role: str
    state: str
    timeline: int | None = None

    @property
    def is_replica(self) -> bool:
        """It runs, and follows a primary."""
        return self.role == "replica" and self.state in ("running", "streaming")

    def __str__(self) -> str:
        return f"{self.role or 'no role'}, {self.state}, timeline {self.timeline}"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The cluster at one moment."""

    primary: str | None
    missing: str | None
    """What it lacks to be whole, in words; None when it is."""
    broken: tuple[str, ...]
    """What was broken on purpose and not healed yet, in words."""
    members: Mapping[str, MemberState | None]
    """None: no answer."""

    def __str__(self) -> str:
        lines = [f"primary  {self.primary or 'none'}", f"lacks    {self.missing or 'nothing'}"]
        lines += [f"broken   {words}" for words in self.broken]
        lines += [f"{node}  {member or 'no answer'}" for node, member in self.members.items()]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a request that changes something: whom it hit, and what was done."""

    hosts: tuple[str, ...] = ()
    victims: tuple[str, ...] = ()
    """Of a fault: whom it struck, by name: these hosts, or the sites that they are in."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The cluster is up. Its repr leaves the passwords out."""

    superuser: str
    superuser_password: str
    etcd_password: str = ""
    """Of Patroni's user, where etcd has users."""

    def __repr__(self) -> str:
        return f"Ready(superuser={self.superuser!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlace:
    """Where a node's doors are, on 127.0.0.1. ``via``: the site whose cuts they feel, if any."""

    node: str
    site: str
    postgres_port: int
    rest_port: int
    via: str | None = None
