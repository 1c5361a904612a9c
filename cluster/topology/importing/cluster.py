"""A topology from the configuration files of a real Patroni cluster. Pure.

What a topology cannot say is listed, in words, and left out: a drill on the result shows the
cluster without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.errors import TopologyError
from cluster.topology.importing.files import (
    ETCD_SECTIONS,
    SOURCE,
    PatroniFile,
    read_all,
    refused,
    table,
)
from cluster.topology.importing.hosts import SITE_TAGS, hosts_of, placed
from cluster.topology.importing.settings import read_parameters, read_settings
from cluster.topology.importing.tags import OWN
from cluster.topology.model import Host, Site, Topology
from cluster.topology.rules import problems_of_topology

STANDBY_SITE = "standby"
OTHER_DCS = ("consul", "zookeeper", "exhibitor", "kubernetes", "raft")
OURS = frozenset(
    {"scope", "name", "namespace", "restapi", "bootstrap", "postgresql", "log", "ctl", "tags"}
)
"""Sections of a member's file that are read, or say nothing of how the cluster fails over."""
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
    members, dynamic = read_all(files)
    left_out: dict[str, None] = {}
    standing = [one for one in members if one.stands_by]
    leading = [one for one in members if not one.stands_by]
    if not leading:
        leading, standing = members, []
    first = leading[0]
    own = table(first.source, first.sections, "postgresql")
    settings, said = read_settings(
        first.scope,
        dynamic,
        own,
        etcd_auth=any(one.logs_in_at_etcd for one in members),
    )
    left_out |= dict.fromkeys(said)
    parameters, said = read_parameters(leading)
    left_out |= dict.fromkeys(said)
    settings = replace(settings, postgresql=parameters)
    hosts, said = hosts_of(leading)
    left_out |= dict.fromkeys(said)
    behind, said = hosts_of(standing, "standby-dcs") if standing else ({}, [])
    left_out |= dict.fromkeys([*said, *_of_standby(first, standing)])
    for member in members:
        left_out |= dict.fromkeys(_left_out_of(member))
    if sites:
        sites_of, said = placed(members, {**hosts, **behind}, sites)
    else:
        sites_of, said = placed(leading, hosts, {})
        if standing:
            others, more = placed(standing, behind, {}, STANDBY_SITE)
            sites_of, said = _together(sites_of, others), [*said, *more]
    left_out |= dict.fromkeys(said)
    following = {host.name for host in behind.values()}
    _demand_whole_sites(sites_of, following)
    scope = settings.scope
    topology = Topology(
        name=name or scope,
        title=f"Imported from the configuration of the members of {scope}",
        sites=tuple(
            Site(
                name=site,
                hosts=(*sites_of[site], Host(name=f"app-{site}", roles=("client",))),
                standby=any(host.name in following for host in sites_of[site]),
            )
            for site in sites_of
        ),
        cluster=settings,
    )
    problems = tuple(problems_of_topology(topology))
    if problems:
        raise TopologyError(SOURCE, problems)
    return Imported(topology=topology, left_out=tuple(left_out))


def _of_standby(first: PatroniFile, standing: Sequence[PatroniFile]) -> Iterator[str]:
    """In what the standby cluster is another one here."""
    if not standing:
        return
    section = table(standing[0].source, standing[0].dynamic, "standby_cluster")
    if "," in str(section.get("host", "")) and not section.get("primary_slot_name"):
        yield (
            "standby_cluster names several hosts and no primary_slot_name: the real standby leader "
            "streams from the one that answers first, a replica as well (Patroni adds "
            "target_session_attrs only beside a slot); here it has a slot"
        )
    if standing[0].scope != first.scope:
        yield (
            f"scope {standing[0].scope} of the standby cluster: here it has the name of the other "
            f"one, {first.scope}, in an etcd of its own; applications that know {first.scope} "
            "alone do not follow its promotion"
        )


def _together(
    sites: Mapping[str, list[Host]], others: Mapping[str, list[Host]]
) -> dict[str, list[Host]]:
    """The sites of both clusters."""
    found = {site: list(hosts) for site, hosts in sites.items()}
    for site, hosts in others.items():
        found.setdefault(site, []).extend(hosts)
    return found


def _demand_whole_sites(sites: Mapping[str, Sequence[Host]], following: Collection[str]) -> None:
    """A site is of one cluster."""
    for site, hosts in sites.items():
        mine = [host.name for host in hosts if host.name in following]
        if mine and len(mine) < len(hosts):
            words = (
                f"{', '.join(mine)} of the standby cluster and hosts of the other one are in one "
                "site; give the standby cluster sites of its own with --site NAME=MEMBER,MEMBER"
            )
            raise refused("--site", site, words)


def _left_out_of(member: PatroniFile) -> Iterator[str]:
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
