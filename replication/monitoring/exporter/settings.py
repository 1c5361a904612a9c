"""The settings of an exporter: the cluster, its role, how often it asks. Values only."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field

from httpcore import AsyncNetworkBackend

from replication.access.credentials import Credentials
from replication.config.tables import MembershipMode
from replication.patroni.members import Member

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
        credentials: its role; what it needs is in ``replication.monitoring.lag.heartbeat_row``.
        interval_s: between two questions to a member, and between two heartbeats.
        dcs_endpoints: etcd's client URLs; none: no metrics of the DCS.
        rest_tls, dcs_tls: for Patroni and for etcd behind https; None: httpcore's own authorities.
        scope: the cluster's name in Patroni; None: the label.
        listed: members for good, whatever Patroni says (``membership``); None: all of ``members``.
        patroni: addresses of Patroni's REST API that are asked who the members are, beside theirs.
        membership: ``followed``: members that come, move or leave are noticed; ``fixed``: none are.
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
    listed: tuple[Member, ...] | None = None
    patroni: tuple[str, ...] = ()
    membership: MembershipMode = "followed"
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
