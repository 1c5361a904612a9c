"""A topology from the configuration files of a real Patroni cluster. Pure.

What a topology cannot say is listed, in words, and left out: a drill on the result shows the
cluster without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.errors import TopologyError
from cluster.topology.importing.files import ETCD_SECTIONS, SOURCE, PatroniFile, read_all, table
from cluster.topology.importing.hosts import SITE_TAGS, hosts_of, placed
from cluster.topology.importing.settings import read_parameters, read_settings
from cluster.topology.importing.tags import OWN
from cluster.topology.model import Host, Site, Topology
from cluster.topology.rules import problems_of_topology

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
    own = table(members[0].source, members[0].sections, "postgresql")
    settings, said = read_settings(
        members[0].scope,
        dynamic,
        own,
        etcd_auth=any(one.logs_in_at_etcd for one in members),
    )
    left_out |= dict.fromkeys(said)
    parameters, said = read_parameters(members)
    left_out |= dict.fromkeys(said)
    settings = replace(settings, postgresql=parameters)
    hosts, said = hosts_of(members)
    left_out |= dict.fromkeys(said)
    for member in members:
        left_out |= dict.fromkeys(_left_out_of(member))
    sites_of, said = placed(members, hosts, sites or {})
    left_out |= dict.fromkeys(said)
    scope = settings.scope
    topology = Topology(
        name=name or scope,
        title=f"Imported from the configuration of the members of {scope}",
        sites=tuple(
            Site(name=site, hosts=(*sites_of[site], Host(name=f"app-{site}", roles=("client",))))
            for site in sites_of
        ),
        cluster=settings,
    )
    problems = tuple(problems_of_topology(topology))
    if problems:
        raise TopologyError(SOURCE, problems)
    return Imported(topology=topology, left_out=tuple(left_out))


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
