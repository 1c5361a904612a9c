"""The hosts of a Patroni cluster, and the sites that they are in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.topology.importing.files import PatroniFile, refused
from cluster.topology.importing.names import name_of
from cluster.topology.importing.tags import import_tags
from cluster.topology.model import Host, HostRole

DEFAULT_SITE = "site-1"
SITE_TAGS = ("datacenter", "dc", "site", "zone", "region")
"""Tags of their own by which teams say where a member is; Patroni itself gives them no meaning."""
NO_ETCD = "etcd"
"""Stands for the one etcd of a cluster whose files name none."""


def hosts_of(members: Sequence[PatroniFile], dcs: str = "dcs") -> tuple[dict[str, Host], list[str]]:
    """Every host by its address, and what of its tags was left out. etcd that shares the address of
    one member is on its host; else its host is called ``dcs`` with a number."""
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
        tags, left_out = import_tags(member.name, member.tags, members=names)
        said += left_out
        hosts[key] = Host(name=name_of(member.name), roles=roles, tags=tags)
    unknown = NO_ETCD if dcs == "dcs" else f"{NO_ETCD} of {dcs}"
    elsewhere = [address for address in etcd if address not in hosts] if etcd else [unknown]
    for number, address in enumerate(elsewhere, start=1):
        hosts[address] = Host(name=f"{dcs}-{number}", roles=("etcd",))
    return hosts, said


def placed(
    members: Sequence[PatroniFile],
    hosts: Mapping[str, Host],
    sites: Mapping[str, Sequence[str]],
    alone_in: str = DEFAULT_SITE,
) -> tuple[dict[str, list[Host]], list[str]]:
    """The hosts of every site, and what had to be guessed; ``alone_in``: the site of all where
    nothing says another."""
    if sites:
        return _as_asked(hosts, sites), []
    tag = next((tag for tag in SITE_TAGS if all(one.tags.get(tag) for one in members)), None)
    if tag is None:
        words = (
            "which site a member is in stands in no file: all are in one; say it with "
            "--site NAME=MEMBER,MEMBER"
        )
        return {alone_in: list(hosts.values())}, [words]
    of = {name_of(one.name): name_of(str(one.tags[tag])) for one in members}
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
            host = left.get(name) or left.get(name_of(name))
            if host is None or host.name in taken:
                known = ", ".join(f"{one.name} ({key})" for key, one in hosts.items())
                why = "is in two sites" if host else "is no host of the cluster"
                raise refused("--site", site, f"{name} {why}; there are {known}")
            taken.add(host.name)
            placed[site].append(host)
    if missing := [f"{h.name} ({key})" for key, h in hosts.items() if h.name not in taken]:
        raise refused(
            "--site", "", f"expected a site for every host; missing: {', '.join(missing)}"
        )
    return placed
