"""How a Storage is described: who connects, where the cluster is, deadlines and limits.

Values only. They are written in code, read from TOML (``file``) or from a DSN (``dsn``).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from replication.access.credentials import (
    Credentials,
    Secret,
    read_password_env,
    read_password_file,
    source_problems,
)
from replication.access.problems import Problem, refuse_if
from replication.access.tls import Tls
from replication.config.tables import MembershipMode, SettingsTable, read_table
from replication.patroni.members import Member, base_url
from replication.units.durability import Durability

DCS_NAMESPACE = "/service"
"""Patroni's default (Patroni manual, "Environment Configuration Settings", namespace)."""

DCS_PASSWORD_SOURCES = ("password", "password_file", "password_env")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """What can be tuned. Every default is for Patroni's own defaults, on a cluster in one country.

    Raises:
        ConfigError: a value is out of its range.
    """

    prefer_site: str | None = None
    """Reads go to a member of this site first, where one is fresh enough. None: to any."""

    deadline_s: float = 30.0
    """For one unit of work, where its caller names none. With Patroni's defaults (ttl 30,
    loop_wait 10, retry_timeout 10) a lost host cost 26 to 27 s of writes in drills; up to 39 s are
    possible. An interactive application wants less, a batch more."""

    durability: Durability = "quorum"
    """What must hold before a unit of work counts as applied: written by the primary (``local``),
    by as many replicas as the cluster's quorum commit asks for (``quorum``), or in every site
    (``all_sites``). Quorum is the least with which the loss of a host loses nothing."""

    sessions_max: int = 16
    """Sessions to the primary, of this process. PostgreSQL takes 100 by default
    (``max_connections``), so six processes fit. Reads within a bound may need one more."""

    replica_sessions_max: int = 8
    """Sessions to each replica, of this process; half of the primary's, which are split over two
    replicas or more."""

    connect_deadline_s: float = 2.0
    """For one session to be made: TCP, TLS, SCRAM and the first question are seven or eight round
    trips, so 0.8 s over a link of 100 ms, and a lost SYN costs 1 s more. In one country it takes 3
    to 30 ms. While a server takes no connections, each try for a new session costs this long;
    existing sessions stay in use. On a slower link, give it more."""

    watch_interval_s: float = 2.0
    """Between two questions to each member who the primary is, while all is well. Patroni itself
    looks once in ``loop_wait`` (10 s); a switchover took 1.5 to 1.6 s in drills, and an error
    makes us ask at once anyway."""

    membership: MembershipMode = "followed"
    """``followed``: Patroni is asked who the members are while the storage is open, and members
    that come, move or leave are noticed. ``fixed``: the members stay those of the opening, for an
    application that reaches them at addresses of its own (forwarded ports) and must try no
    others."""

    circuit_after: int = 5
    """This many units of work in a row that ended in trouble of the cluster (no primary, no room on
    the server, no answer to a COMMIT; nothing that an application does itself) open the circuit:
    the next ones fail at once, and do not queue. A judgement: one lost packet is not an outage,
    five attempts with pauses between them are."""

    circuit_open_s: float = 5.0
    """After this, one attempt is let through again. Half of Patroni's ``loop_wait``: a cluster does
    not recover much sooner."""

    statement_timeout_s: float | None = None
    """The server's ``statement_timeout`` in our sessions. None: what the role or the database has;
    PostgreSQL's default is no limit."""

    id_row_retention_s: float = 7 * 86_400
    """How long the outcome of a unit of work can be asked for. A week: a job that failed on a
    Friday is still asked about after the holidays."""

    def __post_init__(self) -> None:
        values = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) is not None or one.default is not None
        }
        refuse_if("StorageSettings", read_table(SettingsTable, values)[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dcs:
    """Where Patroni keeps its keys: an etcd, with the API of version 3.

    Args:
        endpoints: the client addresses, as ``https://etcd1:2379``.
        scope: Patroni's ``scope``: the name of the cluster.
        namespace: Patroni's ``namespace``.
        tls: for endpoints with https; None is that of ``Tls()``.
        user: of etcd, where it wants authentication; it only needs to read the leader key.
        password: the password itself; kept as a ``Secret``.
        password_file: a file whose one line is the password.
        password_env: the environment variable that has it.

    Raises:
        ConfigError: an endpoint is not such an address, or there is none; a user without a
            password, or the reverse; several sources of the password.
    """

    endpoints: tuple[str, ...]
    scope: str
    namespace: str = DCS_NAMESPACE
    tls: Tls | None = None
    user: str | None = None
    password: str | Secret | None = field(default=None, repr=False)
    password_file: Path | None = None
    password_env: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.password, str):
            object.__setattr__(self, "password", Secret(self.password))
        refuse_if("Dcs", self._problems())

    def resolve(self) -> Secret:
        """The password of ``user`` as its source has it now; reads a file, so not for the event
        loop.

        Raises:
            CredentialsError: the source does not have it.
        """
        if self.password_file is not None:
            return read_password_file(self.password_file)
        if self.password_env is not None:
            return read_password_env(self.password_env)
        assert isinstance(self.password, Secret), "a user without any source was refused"
        return self.password

    def _problems(self) -> Iterator[Problem]:
        if not self.endpoints:
            yield Problem(key="endpoints", words="expected one or more addresses; found none")
        yield from _wrong_urls("endpoints", self.endpoints)
        sources = {source: getattr(self, source) for source in DCS_PASSWORD_SOURCES}
        given = {source: value for source, value in sources.items() if value is not None}
        yield from source_problems(given)
        if self.user is not None and not given:
            words = "no password; expected password_file, password_env or password beside it"
            yield Problem(key="user", words=words)
        if self.user is None:
            for source in given:
                yield Problem(key=source, words="a password of nobody; expected user beside it")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """All that a Storage is made from.

    Args:
        credentials: who connects to what.
        members: the PostgreSQL of the cluster, where they are known beforehand. They are members
            for good; others that Patroni names come and go (``membership``).
        patroni: addresses of Patroni's REST API that are asked for the members (``discovery``);
            one that answers is enough.
        dcs: where to watch Patroni's keys; None: only the members are asked.
        rest_tls: for REST addresses with https; None is that of ``Tls()``: the system's
            authorities, and the name of the host.
        settings: what can be tuned.

    Raises:
        ConfigError: neither members nor addresses, two members of one name, or a wrong address.
    """

    credentials: Credentials
    members: tuple[Member, ...] = ()
    patroni: tuple[str, ...] = ()
    dcs: Dcs | None = None
    rest_tls: Tls | None = None
    settings: StorageSettings = field(default_factory=StorageSettings)

    def __post_init__(self) -> None:
        refuse_if("StorageConfig", place_problems(self.members, self.patroni, self.rest_tls))

    def rest_ssl_context(self) -> ssl.SSLContext:
        """For HTTPS to Patroni; reads the files now.

        Raises:
            ConfigError: one cannot be used.
        """
        return (self.rest_tls or Tls()).ssl_context()


def place_problems(
    members: Sequence[Member], patroni: Sequence[str], rest_tls: Tls | None
) -> Iterator[Problem]:
    """What is wrong with where to connect to."""
    if not members and not patroni:
        words = (
            "nowhere to connect to; expected patroni (addresses that are asked for the members),"
            " or members, or both"
        )
        yield Problem(key="", words=words)
    yield from _wrong_urls("patroni", patroni)
    seen: set[str] = set()
    for index, member in enumerate(members):
        if member.name in seen:
            words = f"{member.name} is there twice; expected a name of its own"
            yield Problem(key=f"members[{index}].name", words=words)
        seen.add(member.name)
    if rest_tls is not None and rest_tls.mode == "disable":
        words = "expected a mode with TLS; for none, write addresses with http and no rest_tls"
        yield Problem(key="rest_tls.mode", words=words)


def _wrong_urls(key: str, urls: Sequence[str]) -> Iterator[Problem]:
    for index, url in enumerate(urls):
        try:
            base_url(url)
        except ValueError as error:
            yield Problem(key=f"{key}[{index}]", words=str(error))
