"""What an exporter is told: the cluster, who it asks as, how often. Values only."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field

from httpcore import AsyncNetworkBackend

from replication.credentials import Credentials
from replication.members import Member

_MEMBER = re.compile(
    r"(?P<name>[^=,\s]+)=(?P<rest>https?://[^,\s]+)"
    r",(?:\[(?P<host6>[^\]\s]+)\]|(?P<host>[^,:\s]+)):(?P<port>\d+)(?:,(?P<site>[^,\s]+))?"
)

PORT_MAX = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSettings:
    """One exporter of one cluster.

    Args:
        cluster: the label ``cluster``.
        members: every member, with the addresses where the exporter reaches it.
        credentials: its role; ``replication.lag.heartbeat_row.grants`` is what the role needs.
        interval_s: between two questions to a member, and between two heartbeats.
        dcs_endpoints: etcd's client URLs; none: nothing is said of the DCS.
        rest_tls, dcs_tls: for Patroni and for etcd behind https; None: httpcore's own authorities.
        scope: the cluster's name in Patroni; None: the label.
        network: how HTTP connections are made; None: as this machine makes them.
    """

    cluster: str
    members: tuple[Member, ...]
    credentials: Credentials
    interval_s: float = 1.0
    dcs_endpoints: tuple[str, ...] = ()
    rest_tls: ssl.SSLContext | None = field(default=None, repr=False)
    dcs_tls: ssl.SSLContext | None = field(default=None, repr=False)
    scope: str | None = None
    network: AsyncNetworkBackend | None = field(default=None, repr=False)


def parse_member(text: str) -> Member:
    """A member as the command line has it: ``name=rest_url,host:port[,site]``.

    Raises:
        ValueError: it is not of that form.
    """
    found = _MEMBER.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) <= PORT_MAX:
        raise ValueError(
            f"{text!r} is not of the form name=rest_url,host:port[,site],"
            " as in db-paris=http://10.0.1.10:8008,10.0.1.10:5432,paris"
        )
    return Member(
        name=found["name"],
        rest_url=found["rest"].rstrip("/"),
        host=found["host6"] or found["host"],
        port=int(found["port"]),
        site=found["site"],
    )
