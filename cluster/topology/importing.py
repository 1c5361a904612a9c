"""A topology from the configuration files of a real Patroni cluster (``topologies import``). Pure.

A file is the configuration of one member (Patroni docs, YAML configuration), or the dynamic
configuration that is in force, as ``patronictl show-config`` prints it. What Patroni reads under an
older name is read here too. What a topology cannot say is listed, in words, and left out: a drill
on the result shows the cluster without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from cluster.errors import Problem, TopologyError
from cluster.toml.reader import NAME
from cluster.topology.importing_tags import OWN, import_tags
from cluster.topology.model import ClusterSettings, Host, HostRole, Site, SyncMode, Topology
from cluster.topology.rules import problems_of_topology
from cluster.topology.settings import (
    LOOP_WAIT_S_MIN,
    MAXIMUM_LAG_ON_FAILOVER_BYTES,
    MAXIMUM_LAG_ON_SYNCNODE_BYTES,
    MEMBER_SLOTS_TTL_S,
    PRIMARY_START_TIMEOUT_S,
    RETRY_TIMEOUT_S_MIN,
    SYNCHRONOUS_NODE_COUNT,
    TTL_S_MIN,
)

SOURCE = "the imported cluster"
DEFAULT_SITE = "site-1"
SITE_TAGS = ("datacenter", "dc", "site", "zone", "region")
"""Tags of their own by which teams say where a member is; Patroni itself gives them no meaning."""
ETCD_SECTIONS = ("etcd3", "etcd")
NO_ETCD = "etcd"
"""Stands for the one etcd of a cluster whose files name none."""
OTHER_DCS = ("consul", "zookeeper", "exhibitor", "kubernetes", "raft")
TEMPLATE = re.compile(r"\{\{|\{%|\$\{|<%|__[A-Z][A-Z_]+__")
"""Marks of Jinja, Terraform, ERB and of shell scripts that fill in a file."""

TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 30, 10, 10
"""Patroni's own defaults (docs, dynamic configuration)."""

OLD_NAMES = {"master_start_timeout": "primary_start_timeout"}
"""Patroni reads both; ``master`` was the word before version 3."""

OURS = frozenset(
    {"scope", "name", "namespace", "restapi", "bootstrap", "postgresql", "log", "ctl", "tags"}
)
"""Sections of a member's file that are read, or say nothing of how the cluster fails over."""

TAKEN_PARAMETERS = (
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "hot_standby_feedback",
    "max_standby_streaming_delay",
    "max_standby_archive_delay",
    "max_slot_wal_keep_size",
    "wal_sender_timeout",
    "wal_receiver_timeout",
    "tcp_user_timeout",
)
"""Parameters of PostgreSQL that change what a failover loses, or how long it takes."""
TELLING_PARAMETERS = (
    "wal_keep_size",
    "wal_keep_segments",
    "recovery_min_apply_delay",
    "archive_mode",
)
"""Such as need what a lab does not have: disks of that size, an archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was read."""

    topology: Topology
    left_out: tuple[str, ...]
    """What the files say and a topology cannot, a sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """One member's file."""

    source: str
    name: str
    address: str
    scope: str
    etcd: tuple[str, ...]
    tags: Mapping[str, Any]
    dynamic: Mapping[str, Any]
    parameters: Mapping[str, Any]
    sections: Mapping[str, Any] = field(repr=False)


def import_topology(
    files: Sequence[tuple[str, str]],
    *,
    name: str | None = None,
    sites: Mapping[str, Sequence[str]] | None = None,
) -> Imported:
    """The topology of a cluster.

    Args:
        files: name and text of each: one for every member, and at most one with the dynamic
            configuration that is in force.
        name: of the topology; None: the cluster's scope.
        sites: name of a site to its hosts: members by name or address, etcd by address. Empty: by
            a tag of the members (``SITE_TAGS``) where all have it, else one site for all.

    Raises:
        TopologyError: a file cannot be read, the files are not of one cluster, or what they
            describe is no topology; the error says what to do.
    """
    members, dynamic = _read_all(files)
    left_out: dict[str, None] = {}
    own = _table(members[0].source, members[0].sections, "postgresql")
    settings, said = _settings(members[0].scope, dynamic, own)
    left_out |= dict.fromkeys(said)
    parameters, said = _parameters(members)
    left_out |= dict.fromkeys(said)
    settings = replace(settings, postgresql=parameters)
    hosts, said = _hosts(members)
    left_out |= dict.fromkeys(said)
    for member in members:
        left_out |= dict.fromkeys(_left_out_of(member))
    placed, said = _placed(members, hosts, sites or {})
    left_out |= dict.fromkeys(said)
    scope = settings.scope
    topology = Topology(
        name=name or scope,
        title=f"Imported from the configuration of the members of {scope}",
        sites=tuple(
            Site(name=site, hosts=(*placed[site], Host(name=f"app-{site}", roles=("client",))))
            for site in placed
        ),
        cluster=settings,
    )
    problems = tuple(problems_of_topology(topology))
    if problems:
        raise TopologyError(SOURCE, problems)
    return Imported(topology=topology, left_out=tuple(left_out))


# ---- files ----


def _read_all(files: Sequence[tuple[str, str]]) -> tuple[list[_Member], Mapping[str, Any]]:
    """The members, and the dynamic configuration: of a file of its own if there is one."""
    members: list[_Member] = []
    in_force: Mapping[str, Any] | None = None
    for source, text in files:
        sections = _read(source, text)
        if "scope" in sections or "name" in sections:
            members.append(_member(source, sections))
        elif {"ttl", "loop_wait", "postgresql", "synchronous_mode"} & sections.keys():
            if in_force is not None:
                raise _refused(source, "", "a second dynamic configuration; expected one at most")
            in_force = sections
        else:
            words = "neither a member's configuration (scope, name) nor the dynamic one (ttl, …)"
            raise _refused(source, "", words)
    if not members:
        words = "no file of a member is among them: expected patroni.yml of every member"
        raise TopologyError(SOURCE, (Problem(key="", words=words),))
    _demand_one_cluster(members)
    return members, members[0].dynamic if in_force is None else in_force


def _demand_one_cluster(members: Sequence[_Member]) -> None:
    scopes = sorted({one.scope for one in members})
    if len(scopes) > 1:
        words = f"expected members of one cluster; found {', '.join(scopes)}"
        raise TopologyError(SOURCE, (Problem(key="scope", words=words),))
    names = [one.name for one in members]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        words = f"expected a name of its own for every member; found twice: {', '.join(twice)}"
        raise TopologyError(SOURCE, (Problem(key="name", words=words),))


def _read(source: str, text: str) -> Mapping[str, Any]:
    """The sections of a file."""
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise _not_yaml(source, text, error) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise _not_yaml(source, text, None)
    return found


def _not_yaml(source: str, text: str, error: Exception | None) -> TopologyError:
    if TEMPLATE.search(text):
        words = (
            "a template, which is filled in on each member; import the file that Patroni itself "
            "reads there (/etc/patroni/patroni.yml, say)"
        )
        return _refused(source, "", words)
    place = getattr(error, "problem_mark", None)
    where = f" in line {place.line + 1}" if place is not None else ""
    return _refused(source, "", f"no YAML with sections{where}; expected a patroni.yml")


def _member(source: str, sections: Mapping[str, Any]) -> _Member:
    """What is asked of one member's file."""
    name, scope = (_word(source, sections, key) for key in ("name", "scope"))
    postgresql, rest = _table(source, sections, "postgresql"), _table(source, sections, "restapi")
    connect = postgresql.get("connect_address") or rest.get("connect_address")
    if not isinstance(connect, str):
        words = "expected the address by which the others reach the member"
        raise _refused(source, "postgresql.connect_address", words)
    bootstrap = _table(source, sections, "bootstrap")
    dynamic = _table(source, bootstrap, "dcs")
    shared = _table(source, _table(source, dynamic, "postgresql"), "parameters")
    return _Member(
        source=source,
        name=name,
        address=_host_of(connect),
        scope=scope,
        etcd=tuple(_etcd_of(source, sections)),
        tags=_table(source, sections, "tags"),
        dynamic=dynamic,
        parameters={**shared, **_table(source, postgresql, "parameters")},
        sections=sections,
    )


def _etcd_of(source: str, sections: Mapping[str, Any]) -> Iterator[str]:
    """The addresses of etcd's members, in their order."""
    for section in ETCD_SECTIONS:
        table = _table(source, sections, section)
        asked = table.get("hosts", table.get("host", table.get("url")))
        if asked is None:
            continue
        listed = asked if isinstance(asked, list) else str(asked).split(",")
        yield from (_host_of(str(one).strip().strip("'\"")) for one in listed)
        return


def _table(source: str, sections: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = sections.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _refused(source, key, f"expected a section; found {found!r}")
    return found


def _word(source: str, sections: Mapping[str, Any], key: str) -> str:
    found = sections.get(key)
    if not isinstance(found, str | int) or isinstance(found, bool) or not str(found).strip():
        raise _refused(source, key, "expected a name, as Patroni does")
    return str(found)


def _host_of(address: str) -> str:
    """The host of ``host:port``, ``http://host:port`` or ``[::1]:port``."""
    bare = address.rpartition("//")[2].partition("/")[0]
    if bare.startswith("["):
        return bare[1:].partition("]")[0]
    return bare.partition(":")[0]


def _refused(source: str, key: str, words: str) -> TopologyError:
    return TopologyError(source, (Problem(key=key, words=words),))


# ---- settings ----


def _settings(
    scope: str, dynamic: Mapping[str, Any], own: Mapping[str, Any]
) -> tuple[ClusterSettings, list[str]]:
    """The settings, as Patroni would have them in force, and what they cannot say.

    Args:
        scope: of the cluster.
        dynamic: the dynamic configuration.
        own: the section ``postgresql`` of a member's own file, which goes before it.
    """
    postgresql = {**_table(SOURCE, dynamic, "postgresql"), **own}
    asked = {OLD_NAMES.get(key, key): value for key, value in dynamic.items()}
    said: list[str] = []

    def seconds(key: str, default: int, minimum: int) -> int:
        found = _whole(asked, key, default)
        if found < minimum:
            said.append(f"{key} is {found}: Patroni itself raises it to {minimum}, as is done here")
        return max(found, minimum)

    durability, words = _durability(asked)
    said += words
    settings = ClusterSettings(
        scope=_name(scope),
        durability=durability,
        ttl_s=seconds("ttl", TTL_S, TTL_S_MIN),
        loop_wait_s=seconds("loop_wait", LOOP_WAIT_S, LOOP_WAIT_S_MIN),
        retry_timeout_s=seconds("retry_timeout", RETRY_TIMEOUT_S, RETRY_TIMEOUT_S_MIN),
        maximum_lag_on_failover_bytes=_whole(
            asked, "maximum_lag_on_failover", MAXIMUM_LAG_ON_FAILOVER_BYTES
        ),
        synchronous_node_count=_whole(asked, "synchronous_node_count", SYNCHRONOUS_NODE_COUNT),
        primary_start_timeout_s=_whole(asked, "primary_start_timeout", PRIMARY_START_TIMEOUT_S),
        synchronous_mode="on" if _is_on(asked.get("synchronous_mode")) else "quorum",
        failsafe_mode=_is_on(asked.get("failsafe_mode")),
        maximum_lag_on_syncnode_bytes=max(
            -1, _whole(asked, "maximum_lag_on_syncnode", MAXIMUM_LAG_ON_SYNCNODE_BYTES)
        ),
        use_pg_rewind=_is_on(postgresql.get("use_pg_rewind", False)),
        use_slots=_is_on(postgresql.get("use_slots", True)),
        member_slots_ttl_s=_seconds(asked, "member_slots_ttl", MEMBER_SLOTS_TTL_S),
    )
    said += _left_out_of_dynamic(asked)
    return settings, said


def _whole(asked: Mapping[str, Any], key: str, default: int) -> int:
    found = asked.get(key, default)
    if isinstance(found, str) and found.strip().isdigit():
        return int(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _refused(SOURCE, key, f"expected a whole number; found {found!r}")
    return int(found)


def _seconds(asked: Mapping[str, Any], key: str, default_s: int) -> int:
    """A duration, in seconds or with a unit, as PostgreSQL has them (``30min``)."""
    found = asked.get(key, default_s)
    match = re.fullmatch(r"(\d+) *(s|min|h|d)", str(found).strip())
    if match is None:
        return max(0, _whole(asked, key, default_s))
    return int(match[1]) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[match[2]]


def _durability(asked: Mapping[str, Any]) -> tuple[SyncMode, list[str]]:
    mode = str(asked.get("synchronous_mode", False)).lower()
    if mode != "quorum" and not _is_on(mode):
        return "async", []
    if _is_on(asked.get("synchronous_mode_strict")):
        return "quorum", []
    words = (
        "synchronous_mode_strict is off: without a standby the real primary acknowledges what no "
        "other node has; taken over as strict, where it waits"
    )
    return "quorum", [words]


def _parameters(members: Sequence[_Member]) -> tuple[dict[str, str], list[str]]:
    """The parameters of PostgreSQL that are taken over, and those in which members differ."""
    taken: dict[str, str] = {}
    said = []
    for key in TAKEN_PARAMETERS:
        values = list(
            dict.fromkeys(_text(one.parameters[key]) for one in members if key in one.parameters)
        )
        if len(values) == 1:
            taken[key] = values[0]
        elif values:
            said.append(f"{key} is {' and '.join(values)}: here every member has the same")
    return taken, said


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _left_out_of_dynamic(asked: Mapping[str, Any]) -> Iterator[str]:
    if asked.get("standby_cluster"):
        yield "standby_cluster: the real cluster follows another one; taken over as one of its own"
    if asked.get("pause"):
        yield "pause: the real cluster is in maintenance mode, and does not fail over"
    if asked.get("slots"):
        yield f"slots: {', '.join(map(str, asked['slots']))} are not kept across a failover here"


def _is_on(value: object) -> bool:
    return str(value).lower() in {"true", "on", "1", "yes"}


def _left_out_of(member: _Member) -> Iterator[str]:
    """What one member's file says of failovers that a topology cannot."""
    for key, value in member.tags.items():
        if key not in (*SITE_TAGS, *OWN) and value not in (False, None, 0, ""):
            yield f"tag {key} = {value} of {member.name}: it has no meaning here"
    for key in TELLING_PARAMETERS:
        if key in member.parameters:
            yield f"{key} = {member.parameters[key]} (postgresql.parameters)"
    for section in member.sections:
        if section in OTHER_DCS:
            yield f"the DCS is {section}: here it is one etcd; give it as many members as there are"
        elif section == "watchdog" and str(member.sections[section]).find("off") < 0:
            yield "watchdog: a primary that hangs is not reset here"
        elif section not in OURS and section not in ETCD_SECTIONS:
            yield f"section {section}"


# ---- hosts and sites ----


def _hosts(members: Sequence[_Member]) -> tuple[dict[str, Host], list[str]]:
    """Every host by its address, and what of its tags was left out. etcd that shares the address of
    one member is on its host."""
    names = [one.name for one in members]
    said: list[str] = []
    addresses = [one.address for one in members]
    etcd = list(dict.fromkeys(address for one in members for address in one.etcd))
    hosts: dict[str, Host] = {}
    for member in members:
        # Where all members have one address, as in Patroni's own examples, each has its machine.
        shares = addresses.count(member.address) == 1 and member.address in etcd
        roles: tuple[HostRole, ...] = ("postgres", "etcd") if shares else ("postgres",)
        key = member.address if addresses.count(member.address) == 1 else member.name
        tags, left_out = import_tags(
            member.name, member.tags, members=names, as_host=_name, is_on=_is_on
        )
        said += left_out
        hosts[key] = Host(name=_name(member.name), roles=roles, tags=tags)
    elsewhere = [address for address in etcd if address not in hosts] if etcd else [NO_ETCD]
    for number, address in enumerate(elsewhere, start=1):
        hosts[address] = Host(name=f"dcs-{number}", roles=("etcd",))
    return hosts, said


def _placed(
    members: Sequence[_Member], hosts: Mapping[str, Host], sites: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[Host]], list[str]]:
    """The hosts of every site, and what had to be guessed."""
    if sites:
        return _as_asked(hosts, sites), []
    tag = next((tag for tag in SITE_TAGS if all(one.tags.get(tag) for one in members)), None)
    if tag is None:
        words = (
            "which site a member is in stands in no file: all are in one; say it with "
            "--site NAME=MEMBER,MEMBER"
        )
        return {DEFAULT_SITE: list(hosts.values())}, [words]
    of = {_name(one.name): _name(str(one.tags[tag])) for one in members}
    placed: dict[str, list[Host]] = {site: [] for site in of.values()}
    first = next(iter(placed))
    alone = [host.name for host in hosts.values() if host.name not in of]
    for host in hosts.values():
        placed[of.get(host.name, first)].append(host)
    words = f"where {', '.join(alone)} of etcd are stands in no file: in {first}, say --site"
    return placed, [words] if alone else []


def _as_asked(
    hosts: Mapping[str, Host], sites: Mapping[str, Sequence[str]]
) -> dict[str, list[Host]]:
    """As ``--site`` says; every host must be in one."""
    left = {**hosts, **{host.name: host for host in hosts.values()}}
    placed: dict[str, list[Host]] = {}
    taken: set[str] = set()
    for site, names in sites.items():
        placed[site] = []
        for name in names:
            host = left.get(name) or left.get(_name(name))
            if host is None or host.name in taken:
                known = ", ".join(f"{one.name} ({key})" for key, one in hosts.items())
                why = "is in two sites" if host else "is no host of the cluster"
                raise _refused("--site", site, f"{name} {why}; there are {known}")
            taken.add(host.name)
            placed[site].append(host)
    if missing := [f"{h.name} ({key})" for key, h in hosts.items() if h.name not in taken]:
        raise _refused(
            "--site", "", f"expected a site for every host; missing: {', '.join(missing)}"
        )
    return placed


def _name(text: str) -> str:
    """A name of ours: a Patroni name may have dots, underscores and capitals."""
    bare = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-")
    name = bare if bare[:1].isalpha() else f"n-{bare}"[:32].strip("-")
    assert NAME.fullmatch(name), name
    return name
