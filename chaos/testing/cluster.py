"""``PatroniCluster``: a real Patroni cluster as a context manager, for your tests.

Everything is synchronous and bounded in time, and may be called from any thread. Inside an event
loop call what takes time in a thread (``anyio.to_thread.run_sync``): a failover takes twenty
seconds, and the loop would stand still.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from chaos.evidence.records import Scalar
from chaos.faults.host import HOST_POWER_CUT
from chaos.faults.process import PROCESS_KILL
from chaos.faults.site import SITE_CUT
from chaos.faults.switchover import SWITCHOVER
from chaos.faults.targets import (
    CLUSTER,
    DCS,
    Target,
    layout_of,
    link_ends,
    parse_target,
    problem_of,
)
from chaos.gameday.choices import Settings, choose_backend, choose_topology
from chaos.gameday.errors import (
    NOT_RUNNING,
    FaultError,
    NotHealthyError,
    NotRunningError,
    OptionError,
)
from chaos.gameday.handle import Backend
from chaos.gameday.requests import HOST, Done, HostPlace, Mode, Ready, Request, State
from chaos.gameday.role import lay_ground
from chaos.testing import urls as where
from cluster.patroni.config import ETCD_USER
from cluster.topology.model import SyncMode, Topology
from replication import Credentials, Dcs, Member, Storage, StorageSettings
from replication.observability.events import Observer
from replication.schema import install

T = TypeVar("T")

START_TIMEOUT_S = 180.0
"""4 s in the lab and 10 s in containers when all is well; a loaded machine takes its time."""
LOOK_TIMEOUT_S = 20.0
ACT_TIMEOUT_S = 90.0
"""For one fault, or for its healing: a second when all is well."""
PRIMARY_TIMEOUT_S = 90.0
"""For a failover: ttl, an election of etcd, a promotion; with ``ttl_s=20`` about 22 s."""
HEALTHY_TIMEOUT_S = 120.0
"""For a host that was lost: start, crash recovery, ``pg_rewind``, streaming, the sync key."""
STORAGE_DEADLINE_S = 60.0
"""For a unit of work of a test: longer than any failover that it must survive."""
POLL_S = 0.1
NUDGE_S = 0.5
LOG_LINES = 12


class PatroniCluster:
    """A cluster of real Patroni, PostgreSQL and etcd on several sites.

    Args:
        sites: 3, or 2 with a witness site; ``topology`` has more.
        mode: ``lab`` (namespaces of this machine, no root, no Docker) or ``docker``.
        topology: in place of ``sites``: a built-in name, the path of a file, or a ``Topology``.
            It is raised without the topology's witnesses: a test should bear the outage of stock
            Patroni, which is longer.
        ttl_s, loop_wait_s, retry_timeout_s, durability: Patroni's settings; None: the topology's.
        username: the role of the tests; it owns the database.
        password: its password; made anew if None.
        dbname: the database of the tests.
        reuse: ``docker``: leave the cluster up at the end, and take it when it is asked for again.
        pg_bindir: ``lab``: the folder with PostgreSQL's programs; None looks for the newest.

    Raises:
        OptionError, TopologyError: there is no such thing.
    """

    def __init__(  # noqa: PLR0913 (every one has a default)
        self,
        sites: int = 3,
        *,
        mode: Mode = "lab",
        topology: str | Path | Topology | None = None,
        ttl_s: int | None = None,
        loop_wait_s: int | None = None,
        retry_timeout_s: int | None = None,
        durability: SyncMode | None = None,
        username: str = "test",
        password: str | None = None,
        dbname: str = "test",
        reuse: bool = False,
        pg_bindir: Path | None = None,
    ) -> None:
        chosen = choose_topology(sites, topology).with_settings(
            durability=durability,
            ttl_s=ttl_s,
            loop_wait_s=loop_wait_s,
            retry_timeout_s=retry_timeout_s,
            witness=False,
        )
        self.mode = mode
        self.username = username
        self.dbname = dbname
        self._password = password or secrets.token_urlsafe(18)
        # A kept cluster has the tables of its tests, and the role that owns them.
        settings = Settings(reuse=reuse, tenant=f"{username}/{dbname}", pg_bindir=pg_bindir)
        self._backend: Backend = choose_backend(mode, chosen, settings)
        self._ready: Ready | None = None
        self._has_tables = False

    @property
    def topology(self) -> Topology:
        """What is raised: sites, hosts, settings."""
        return self._backend.topology

    def start(self, *, timeout_s: float = START_TIMEOUT_S) -> Self:
        """Raise the cluster; it is whole when this returns. What runs already is kept.

        Raises:
            StartError: it could not be raised; nothing of it is left.
        """
        if self._ready is not None:
            return self
        ready = self._backend.start(timeout_s=timeout_s)
        try:
            self._ready = ready
            self.wait_healthy(timeout_s)
            lay_ground(
                self._place(self._wait_primary(PRIMARY_TIMEOUT_S)).postgres_port,
                superuser=ready.superuser,
                superuser_password=ready.superuser_password,
                user=self.username,
                password=self._password,
                dbname=self.dbname,
            )
            self.wait_healthy(timeout_s)  # a new database is some megabytes of WAL
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the cluster (with ``reuse``: let go of it). Idempotent."""
        self._ready, self._has_tables = None, False
        self._backend.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # ---- how to reach it ----

    @property
    def credentials(self) -> Credentials:
        """Of the tests' role."""
        return Credentials(user=self.username, password=self._password, dbname=self.dbname)

    def primary_url(
        self, *, driver: str | None = None, timeout_s: float = PRIMARY_TIMEOUT_S
    ) -> str:
        """The URL of the primary, for libpq, psycopg and SQLAlchemy; waits while there is none.

        Its connections end at once when the primary's host dies. It always leads to that node:
        after a failover ask again, or use ``cluster_url`` or ``storage``.

        Args:
            driver: for SQLAlchemy, what comes after the ``+``: ``psycopg``, ``asyncpg``.
            timeout_s: how long to wait for a primary.

        Raises:
            NotHealthyError: there was none.
        """
        return self._url([self._place(self._wait_primary(timeout_s))], driver)

    def replica_urls(self, *, driver: str | None = None) -> list[str]:
        """The URLs of the nodes that run as replicas now, in the order of the topology."""
        state = self.state()
        return [
            self._url([self._place(node)], driver)
            for node, member in state.members.items()
            if member is not None and member.is_replica
        ]

    def cluster_url(self, *, site: str | None = None) -> str:
        """A URL of all nodes that always leads to the primary, for libpq and psycopg."""
        return f"{self._url(self._places(site), None)}?target_session_attrs=read-write"

    def members(self, *, site: str | None = None) -> tuple[Member, ...]:
        """The members, for ``replication.Storage``.

        Args:
            site: as a client of this site sees them: it feels the cuts of its site. None: from
                outside the sites; no fault cuts such a client off, and when a host dies, its
                connections to it end at once.

        Raises:
            OptionError: there is no such site, or no client in it.
        """
        return where.members_of(self._places(site))

    def dcs(self) -> Dcs:
        """Where etcd is, for ``replication.Storage``."""
        ready = self._need_running()
        ports = self._backend.etcd_ports.values()
        endpoints = tuple(f"http://{HOST}:{port}" for port in ports)
        settings = self.topology.cluster
        if not settings.etcd_auth:
            return Dcs(endpoints=endpoints, scope=settings.scope)
        return Dcs(
            endpoints=endpoints,
            scope=settings.scope,
            user=ETCD_USER,
            password=ready.etcd_password,
        )

    @asynccontextmanager
    async def storage(
        self,
        *,
        site: str | None = None,
        settings: StorageSettings | None = None,
        observers: Sequence[Observer] = (),
    ) -> AsyncIterator[Storage]:
        """A ready ``replication.Storage`` on the cluster, its own tables installed.

        Args:
            site: as in ``members``.
            settings: everything that has a default. None: a unit of work has 60 s, and is durable
                as the cluster is: ``quorum``, or ``local`` where its durability is ``async``.
            observers: told of everything that the storage does.
        """
        async with Storage(
            self.members(site=site),
            self.credentials,
            settings=settings or self._storage_settings(),
            observers=observers,
        ) as storage:
            if not self._has_tables:
                await install(storage)
                self._has_tables = True
            yield storage

    def _storage_settings(self) -> StorageSettings:
        is_quorum = self.topology.cluster.durability == "quorum"
        return StorageSettings(
            deadline_s=STORAGE_DEADLINE_S,
            durability="quorum" if is_quorum else "local",
            # The members are reached through forwarded ports, at no address that they announce.
            membership="fixed",
        )

    # ---- how it is ----

    def state(self) -> State:
        """How the cluster is now.

        Raises:
            NotRunningError: it was not started, or has ended.
        """
        return self._do(Request(op="look"), State, LOOK_TIMEOUT_S)

    @property
    def primary(self) -> str | None:
        """The node that is the primary now; None while there is none, or more than one."""
        return self.state().primary

    def wait_primary(self, *, timeout_s: float = PRIMARY_TIMEOUT_S, other_than: str = "") -> str:
        """Wait until there is a primary; its node.

        Args:
            timeout_s: how long.
            other_than: a node that does not count: the one that was lost.

        Raises:
            NotHealthyError: there was none in time.
        """
        return self._wait_primary(timeout_s, other_than)

    def wait_healthy(self, timeout_s: float = HEALTHY_TIMEOUT_S) -> State:
        """Wait until the cluster is whole: a primary, every replica caught up, quorum in force
        (``cluster.whole``). Every replica may take over then: a switchover is accepted at once.

        Meanwhile the primary is asked to look at once, where Patroni would wait for its next loop.

        Raises:
            NotHealthyError: it was not in time; says what it lacked, what is broken, and what the
                logs say.
        """
        now_s = time.monotonic()
        end_s, nudge_s = now_s + timeout_s, now_s
        while (state := self.state()).missing is not None:
            if (now_s := time.monotonic()) > nudge_s and state.primary is not None:
                self._do(Request(op="nudge"), Done, LOOK_TIMEOUT_S)
                nudge_s = now_s + NUDGE_S
            if now_s > end_s:
                words = f"the cluster is not whole after {timeout_s:g} s:\n{state}"
                raise NotHealthyError(words, logs=self.log_tails())
            time.sleep(POLL_S)
        return state

    def logs(self, node: str, *, lines: int = 100) -> str:
        """The last lines that the processes of a host wrote.

        Raises:
            OptionError: there is no such host.
            NotRunningError: the cluster does not run.
        """
        self._need_running()
        self._check_host(node)
        return self._backend.logs(node, lines=lines)

    def log_tails(self, *, lines: int = LOG_LINES) -> str:
        """The last lines of every node's Patroni and PostgreSQL, for the words of an error."""
        tails = (self._backend.logs(node, lines=lines) for node in self.topology.nodes)
        return "\n".join(text for text in tails if text)

    # ---- how to break it ----

    def strike(
        self, fault: str, target: str = "primary", *, seed: int | None = None, **params: Scalar
    ) -> Done:
        """Bring about a fault of the catalogue (``chaos.faults.registry``); effective on return.

        Args:
            fault: its name (docs/use/scenarios.md).
            target: as in a scenario (``primary``, ``any``, ``site:paris``), or a host.
            seed: chooses whom a target such as ``any`` leaves to chance; None: the system does.
            params: the fault's parameters besides its target, as in a scenario; None: left out.

        Raises:
            FaultError: it could not be brought about.
            OptionError: there is no such host or site.
        """
        found = parse_target(target)
        if found is None:
            self._check_host(target)
        elif why := problem_of(found, layout_of(self.topology)):
            raise OptionError(why)
        asked = {name: value for name, value in params.items() if value is not None}
        request = Request(op="strike", fault=fault, target=target, params=asked, seed=seed)
        return self._act(request)

    def kill_primary(self) -> str:
        """Cut the power of the primary's host, until ``start_host`` or ``heal``; its node."""
        return self.strike(HOST_POWER_CUT.key).hosts[0]

    def kill_host(self, host: str) -> None:
        """Cut the power of a host: everything on it ends in one moment."""
        self.strike(HOST_POWER_CUT.key, host)

    def start_host(self, host: str) -> None:
        """Give a host its power back, and start every process of it that does not run. On return
        they are not ready yet. Idempotent."""
        self._check_host(host)
        self._act(Request(op="start", host=host))

    def kill_process(self, node: str, process: str = "postgres") -> None:
        """``kill -9`` of the postmaster, or of ``patroni`` or ``etcd``; see ``heal``."""
        self.strike(PROCESS_KILL.key, node, process=process)

    def cut(self, site: str) -> None:
        """Cut a site off from all others, in silence; within it everything goes on.

        Clients that reach the cluster from outside are not in any site, and not cut off: see
        ``members(site=...)``.
        """
        self.strike(SITE_CUT.key, str(Target(selector="site", name=site)))

    def heal(self) -> str:
        """Undo everything that was broken, and start what died; says what was done.

        What is started is not ready yet then: ``wait_healthy``.
        """
        return self._act(Request(op="heal")).detail

    def undo(self, fault: str, host: str) -> str:
        """Undo one fault on one host, and leave the others; no effect when it is not in force.

        Args:
            fault: as of ``strike``.
            host: whom it struck: a host, a site, a link as ``A-B``, ``cluster`` or ``dcs``.
        """
        layout = layout_of(self.topology)
        if host not in (*layout.sites, CLUSTER, DCS) and not link_ends(host, layout):
            self._check_host(host)
        return self._act(Request(op="undo", fault=fault, host=host)).detail

    def switchover(self, candidate: str | None = None) -> str:
        """Hand the primary role over, as planned; returns the new primary."""
        if candidate is not None:
            self._check_host(candidate)
        self.strike(SWITCHOVER.key, candidate=candidate)
        return self._wait_primary(PRIMARY_TIMEOUT_S)

    # ---- inside ----

    def _act(self, request: Request) -> Done:
        try:
            return self._do(request, Done, ACT_TIMEOUT_S)
        except (FaultError, NotHealthyError) as error:
            if error.logs:
                raise
            raise type(error)(str(error), logs=self.log_tails()) from error

    def _do(self, request: Request, answer: type[T], timeout_s: float) -> T:
        self._need_running()
        return self._backend.do(request, answer, timeout_s=timeout_s)

    def _need_running(self) -> Ready:
        if self._ready is None:
            raise NotRunningError(NOT_RUNNING)
        return self._ready

    def _wait_primary(self, timeout_s: float, other_than: str = "") -> str:
        end_s = time.monotonic() + timeout_s
        while (primary := (state := self.state()).primary) in (None, other_than):
            if time.monotonic() > end_s:
                words = f"there was no primary for {timeout_s:g} s:\n{state}"
                raise NotHealthyError(words, logs=self.log_tails())
            time.sleep(POLL_S)
        assert primary is not None
        return primary

    def _places(self, site: str | None) -> list[HostPlace]:
        self._need_running()
        found = [place for place in self._backend.places if place.via == site]
        if not found:
            vias = sorted({place.via for place in self._backend.places if place.via})
            names = ", ".join(vias) or "none (a cluster that runs in the lab has them)"
            raise OptionError(f"no client is in a site {site}; there are {names}")
        return found

    def _place(self, node: str) -> HostPlace:
        return next(place for place in self._places(None) if place.node == node)

    def _url(self, found: Sequence[HostPlace], driver: str | None) -> str:
        return where.cluster_url(
            found, user=self.username, password=self._password, dbname=self.dbname, driver=driver
        )

    def _check_host(self, host: str) -> None:
        names = [known.name for known in self.topology.hosts]
        if host not in names:
            raise OptionError(f"there is no host {host}; there are {', '.join(names)}")
