"""The configuration files of a Patroni cluster, as far as they are asked here. Pure.

A file is the configuration of one member (Patroni docs, YAML configuration), or the dynamic
configuration that is in force, as ``patronictl show-config`` prints it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from cluster.errors import Problem, TopologyError

SOURCE = "the imported cluster"
ETCD_SECTIONS = ("etcd3", "etcd")
TEMPLATE = re.compile(r"\{\{|\{%|\$\{|<%|__[A-Z][A-Z_]+__")
"""Marks of Jinja, Terraform, ERB and of shell scripts that fill in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniFile:
    """What one member's file says."""

    source: str
    name: str
    address: str
    scope: str
    etcd: tuple[str, ...]
    logs_in_at_etcd: bool
    """It gives a user of etcd; its password stays where it is."""
    tags: Mapping[str, Any]
    dynamic: Mapping[str, Any]
    stands_by: bool
    """Its cluster follows another one (``standby_cluster``)."""
    parameters: Mapping[str, Any]
    sections: Mapping[str, Any] = field(repr=False)


def read_all(files: Sequence[tuple[str, str]]) -> tuple[list[PatroniFile], Mapping[str, Any]]:
    """The members, and the dynamic configuration: of a file of its own if there is one."""
    members: list[PatroniFile] = []
    in_force: Mapping[str, Any] | None = None
    for source, text in files:
        sections = _read(source, text)
        if "scope" in sections or "name" in sections:
            members.append(_member(source, sections))
        elif {"ttl", "loop_wait", "postgresql", "synchronous_mode"} & sections.keys():
            if in_force is not None:
                raise refused(source, "", "a second dynamic configuration; expected one at most")
            in_force = sections
        else:
            words = "neither a member's configuration (scope, name) nor the dynamic one (ttl, …)"
            raise refused(source, "", words)
    if not members:
        words = "no file of a member is among them: expected patroni.yml of every member"
        raise TopologyError(SOURCE, (Problem(key="", words=words),))
    leading = [one for one in members if not one.stands_by] or members
    _demand_one_cluster(leading)
    _demand_one_cluster([one for one in members if one not in leading])
    return members, leading[0].dynamic if in_force is None else in_force


def _demand_one_cluster(members: Sequence[PatroniFile]) -> None:
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
        return refused(source, "", words)
    place = getattr(error, "problem_mark", None)
    where = f" in line {place.line + 1}" if place is not None else ""
    return refused(source, "", f"no YAML with sections{where}; expected a patroni.yml")


def _member(source: str, sections: Mapping[str, Any]) -> PatroniFile:
    """What is asked of one member's file."""
    name, scope = (_word(source, sections, key) for key in ("name", "scope"))
    postgresql, rest = table(source, sections, "postgresql"), table(source, sections, "restapi")
    connect = postgresql.get("connect_address") or rest.get("connect_address")
    if not isinstance(connect, str):
        words = "expected the address by which the others reach the member"
        raise refused(source, "postgresql.connect_address", words)
    bootstrap = table(source, sections, "bootstrap")
    dynamic = table(source, bootstrap, "dcs")
    shared = table(source, table(source, dynamic, "postgresql"), "parameters")
    return PatroniFile(
        source=source,
        name=name,
        address=_host_of(connect),
        scope=scope,
        etcd=tuple(_etcd_of(source, sections)),
        logs_in_at_etcd=any(
            "username" in table(source, sections, section) for section in ETCD_SECTIONS
        ),
        tags=table(source, sections, "tags"),
        dynamic=dynamic,
        stands_by=bool(dynamic.get("standby_cluster")),
        parameters={**shared, **table(source, postgresql, "parameters")},
        sections=sections,
    )


def _etcd_of(source: str, sections: Mapping[str, Any]) -> Iterator[str]:
    """The addresses of etcd's members, in their order."""
    for section in ETCD_SECTIONS:
        found = table(source, sections, section)
        asked = found.get("hosts", found.get("host", found.get("url")))
        if asked is None:
            continue
        listed = asked if isinstance(asked, list) else str(asked).split(",")
        yield from (_host_of(str(one).strip().strip("'\"")) for one in listed)
        return


def table(source: str, sections: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A section of a file; empty where it is not there."""
    found = sections.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise refused(source, key, f"expected a section; found {found!r}")
    return found


def _word(source: str, sections: Mapping[str, Any], key: str) -> str:
    found = sections.get(key)
    if not isinstance(found, str | int) or isinstance(found, bool) or not str(found).strip():
        raise refused(source, key, "expected a name, as Patroni does")
    return str(found)


def _host_of(address: str) -> str:
    """The host of ``host:port``, ``http://host:port`` or ``[::1]:port``."""
    bare = address.rpartition("//")[2].partition("/")[0]
    if bare.startswith("["):
        return bare[1:].partition("]")[0]
    return bare.partition(":")[0]


def refused(source: str, key: str, words: str) -> TopologyError:
    """The error for one key of a file."""
    return TopologyError(source, (Problem(key=key, words=words),))


def is_on(value: object) -> bool:
    """A switch, however it is written."""
    return str(value).lower() in {"true", "on", "1", "yes"}
