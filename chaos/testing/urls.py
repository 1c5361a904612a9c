"""How a cluster for tests is reached: URLs for libpq and SQLAlchemy, members. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from chaos.gameday.requests import HOST, HostPlace
from replication import Member


def cluster_url(
    places: Sequence[HostPlace], *, user: str, password: str, dbname: str, driver: str | None = None
) -> str:
    """``postgresql://user:password@127.0.0.1:port/dbname``, with a host and port for each place
    (PostgreSQL manual, "Connection URIs").

    Args:
        places: one node, or several for libpq to try in turn.
        user: a role.
        password: its password.
        dbname: a database.
        driver: for SQLAlchemy, what comes after the ``+``: ``psycopg``, ``asyncpg``.
    """
    scheme = "postgresql" if driver is None else f"postgresql+{driver}"
    hosts = ",".join(f"{HOST}:{place.postgres_port}" for place in places)
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{who}@{hosts}/{quote(dbname, safe='')}"


def members_of(places: Sequence[HostPlace]) -> tuple[Member, ...]:
    """The members as ``replication.Storage`` takes them."""
    return tuple(
        Member(
            name=place.node,
            rest_url=f"http://{HOST}:{place.rest_port}",
            host=HOST,
            port=place.postgres_port,
            site=place.site,
        )
        for place in places
    )
