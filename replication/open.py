"""From a description of a cluster to a running ``Storage``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from replication.config.settings import StorageConfig
from replication.observability.events import Observer
from replication.patroni.client import RestClient
from replication.patroni.discovery import discover
from replication.patroni.members import Member
from replication.storage import Storage


@asynccontextmanager
async def open_storage(
    config: StorageConfig, *, observers: Sequence[Observer] = ()
) -> AsyncIterator[Storage]:
    """A running storage, made from ``config``; its members are asked for where they are not listed,
    and again while it is open (``membership``).

    Args:
        config: from ``load_config``, ``from_dsn``, or made in code.
        observers: get every event from the start.

    Raises:
        DiscoveryError: no endpoint named the members within ``config.settings.deadline_s``.
        ConfigError: a file that the configuration names cannot be used.
    """
    members = await find_members(config)
    # A member that comes later may be asked over HTTPS though those of the opening are not.
    is_secure = uses_tls(config, members) or config.rest_tls is not None
    rest = RestClient(ssl_context=config.rest_ssl_context() if is_secure else None)
    async with Storage(
        members,
        config.credentials,
        settings=config.settings,
        observers=observers,
        dcs=config.dcs,
        rest=rest,
        listed=config.members,
        patroni=config.patroni,
    ) as storage:
        yield storage


async def find_members(config: StorageConfig) -> tuple[Member, ...]:
    """The members of a configuration: those that are listed, else those that Patroni names.

    Raises:
        DiscoveryError: no endpoint named them in time.
    """
    if config.members:
        return config.members
    return await discover(
        config.patroni,
        deadline_s=config.settings.deadline_s,
        ssl_context=config.rest_ssl_context() if uses_tls(config, ()) else None,
    )


def uses_tls(config: StorageConfig, members: Sequence[Member]) -> bool:
    """Whether some Patroni is asked over HTTPS."""
    urls = [*config.patroni, *(member.rest_url for member in members)]
    return any(url.startswith("https:") for url in urls)
