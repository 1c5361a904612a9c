"""From a description of a cluster to a running ``Storage``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from replication.discovery import discover
from replication.members import Member, RestClient
from replication.observe import Observer
from replication.settings import StorageConfig
from replication.storage import Storage


@asynccontextmanager
async def open_storage(
    config: StorageConfig, *, observers: Sequence[Observer] = ()
) -> AsyncIterator[Storage]:
    """A running storage, made from ``config``; its members are asked for where they are not listed.

    Args:
        config: from ``load_config``, ``from_dsn``, or made in code.
        observers: told of everything from the start.

    Raises:
        DiscoveryError: nobody named the members within ``config.settings.deadline_s``.
        ConfigError: a file that the configuration names cannot be used.
    """
    members = await find_members(config)
    rest = RestClient(ssl_context=config.rest_ssl_context() if uses_tls(config, members) else None)
    async with Storage(
        members,
        config.credentials,
        settings=config.settings,
        observers=observers,
        dcs=config.dcs,
        rest=rest,
    ) as storage:
        yield storage


async def find_members(config: StorageConfig) -> tuple[Member, ...]:
    """The members of a configuration: those that are listed, else those that Patroni names.

    Raises:
        DiscoveryError: nobody named them in time.
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
