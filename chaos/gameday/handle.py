"""The interface between ``PatroniCluster`` and its substrate: the lab, or containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from chaos.gameday.requests import HostPlace, Ready, Request
from cluster.topology.model import Topology

T = TypeVar("T")


class Backend(Protocol):
    """One cluster, from its start to its end."""

    topology: Topology

    @property
    def places(self) -> tuple[HostPlace, ...]:
        """Where the nodes' doors are; from ``start`` on."""
        ...

    @property
    def etcd_ports(self) -> Mapping[str, int]:
        """The doors of etcd's members, by host; from ``start`` on."""
        ...

    def start(self, *, timeout_s: float) -> Ready:
        """Raise the cluster; returns when its data is protected.

        Raises:
            StartError: it could not be raised; nothing of it is left.
        """
        ...

    def do(self, request: Request, answer: type[T], *, timeout_s: float) -> T:
        """Ask the caretaker. May be called by several threads.

        Raises:
            ClusterInTestsError: it could not; says why.
        """
        ...

    def logs(self, host: str, *, lines: int) -> str:
        """The last lines of what the processes of a host wrote."""
        ...

    def stop(self) -> None:
        """End the cluster, all of it. Idempotent."""
        ...
