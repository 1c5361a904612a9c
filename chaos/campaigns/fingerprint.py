"""What a kept cluster must be like before each run: as it was at its birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from chaos.drill.setup import LOOK_TIMEOUT_S
from chaos.load.admin import superuser_session
from cluster.patroni.rest import Configuration
from cluster.raised import RaisedCluster
from replication import StorageError

APPLICATION = "bascule-campaign"
SETTINGS = """
    SELECT md5(string_agg(name || '=' || setting || ':' || pending_restart, ',' ORDER BY name))
    FROM pg_settings
    WHERE source IN ('configuration file', 'command line', 'override')
      AND name <> ALL (ARRAY['primary_conninfo', 'primary_slot_name', 'synchronous_standby_names',
                             'transaction_read_only', 'in_hot_standby', 'data_checksums'])
"""
"""Every setting of a node but those that follow from who leads."""
FRESH = "DROP SCHEMA IF EXISTS bascule CASCADE"
"""Everything that a load and the storage layer have left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What does not change in a cluster that is as it was. Timelines grow, and the lead moves."""

    configuration: Configuration | None
    """Patroni's."""
    settings: Mapping[str, str]
    """By node, a hash of PostgreSQL's settings that do not follow from who leads."""


async def take_fingerprint(cluster: RaisedCluster) -> Fingerprint | str:
    """The fingerprint of a cluster, or in words why it has none: it is not whole."""
    missing = await cluster.wait_whole(timeout_s=LOOK_TIMEOUT_S)
    primary = await cluster.wait_primary(timeout_s=LOOK_TIMEOUT_S)
    if missing is not None or primary is None:
        return missing or "there is no primary"
    settings: dict[str, str] = {}
    try:
        for node in cluster.rest:
            async with superuser_session(cluster, node, application=APPLICATION) as session:
                settings[node] = str((await session.fetch(SETTINGS))[0][0])
    except (psycopg.Error, StorageError) as error:
        return f"a member could not be asked for its settings: {error}"
    configuration = await cluster.rest[primary].configuration()
    return Fingerprint(configuration=configuration, settings=settings)


async def make_fresh(cluster: RaisedCluster) -> None:
    """Take away what the run before has left in the database.

    Raises:
        psycopg.Error, StorageError: the primary refused.
    """
    primary = await cluster.wait_primary(timeout_s=LOOK_TIMEOUT_S)
    if primary is not None:
        async with superuser_session(cluster, primary, application=APPLICATION) as session:
            await session.fetch(FRESH)
