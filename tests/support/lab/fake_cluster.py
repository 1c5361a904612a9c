"""A ``RaisedCluster`` of nothing: what was asked of it, in order, and the answers it was given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from chaos.gameday.requests import Done, MemberState, State
from cluster.topology.load import find_topology
from cluster.topology.model import SyncMode

PRIMARY = "db-paris"
REPLICAS = ("db-orsay", "db-saint-cloud")
WHOLE = State(
    primary=PRIMARY,
    missing=None,
    broken=(),
    members={
        PRIMARY: MemberState(role="primary", state="running", timeline=1),
        **dict.fromkeys(REPLICAS, MemberState(role="replica", state="running", timeline=1)),
    },
)


class FakeCluster:
    """As far as the plugin asks.

    Args:
        before: called with each thing that is asked, before it is done: it may raise, or wait.
        durability: of its topology.
    """

    def __init__(
        self,
        before: Callable[[str], object] = lambda asked: None,
        *,
        durability: SyncMode = "quorum",
    ) -> None:
        self.topology = find_topology("three-sites").with_settings(
            durability=durability, witness=False
        )
        self.before = before
        self.calls: list[str] = []
        self.changed = threading.Condition()

    def _do(self, asked: str) -> None:
        self.before(asked)
        with self.changed:
            self.calls.append(asked)
            self.changed.notify_all()

    def wait_for(self, asked: str, timeout_s: float = 10.0) -> None:
        """Wait until this was done."""
        with self.changed:
            assert self.changed.wait_for(lambda: asked in self.calls, timeout_s), self.calls

    def start(self) -> Self:
        self._do("start")
        return self

    def stop(self) -> None:
        self._do("stop")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def primary(self) -> str | None:
        return PRIMARY

    def state(self) -> State:
        return WHOLE

    def strike(
        self, fault: str, target: str = "primary", *, seed: int | None = None, **params: object
    ) -> Done:
        self._do(f"strike {fault} {target}")
        hosts = (PRIMARY,) if target == "primary" else REPLICAS
        return Done(hosts=hosts, victims=hosts)

    def kill_primary(self) -> str:
        return self.strike("host-power-cut").hosts[0]

    def undo(self, fault: str, host: str) -> str:
        self._do(f"undo {fault} {host}")
        return f"{fault} on {host}: undone"

    def heal(self) -> str:
        self._do("heal")
        return "healed"

    def wait_healthy(self, timeout_s: float = 120.0) -> State:
        self._do("wait_healthy")
        return WHOLE

    def log_tails(self, *, lines: int = 12) -> str:
        return "the logs"

    kill_host = start_host = kill_process = cut = switchover = strike
