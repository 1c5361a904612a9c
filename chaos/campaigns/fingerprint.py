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
    SELECT name, setting || CASE WHEN pending_restart THEN ' after a restart' ELSE '' END
    FROM pg_settings
    WHERE source IN ('configuration file', 'command line', 'override')
      AND name <> ALL (ARRAY['primary_conninfo', 'primary_slot_name', 'synchronous_standby_names',
                             'transaction_read_only', 'in_hot_standby', 'data_checksums'])
      AND NOT starts_with(name, 'recovery_target')
"""
"""Every setting of a node but those that follow from who leads: Patroni writes some of them into
the configuration of a replica alone (patroni/postgresql/config.py, ``build_recovery_params``)."""
FRESH = "DROP SCHEMA IF EXISTS bascule CASCADE"
"""Everything that a load and the storage layer have left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What does not change in a cluster that is as it was. Timelines grow, and the lead moves."""

    configuration: Configuration | None
    """Patroni's."""
    settings: Mapping[str, Mapping[str, str]]
    """By node, PostgreSQL's settings that do not follow from who leads."""

    def changed_since(self, birth: Fingerprint) -> str:
        """What is not as it was, in words; empty: nothing."""
        if self.configuration != birth.configuration:
            return "Patroni's configuration is not the one of the beginning"
        for node, settings in self.settings.items():
            before = birth.settings.get(node, {})
            names = {*settings.items()} ^ {*before.items()}
            if names:
                name = min(name for name, _ in names)
                was, is_ = before.get(name, "not set"), settings.get(name, "not set")
                return f"{name} of {node} was {was} at the beginning, and is {is_}"
        return ""


async def take_fingerprint(cluster: RaisedCluster) -> Fingerprint | str:
    """The fingerprint of a cluster, or in words why it has none: it is not whole."""
    missing = await cluster.wait_whole(timeout_s=LOOK_TIMEOUT_S)
    primary = await cluster.wait_primary(timeout_s=LOOK_TIMEOUT_S)
    if missing is not None or primary is None:
        return missing or "there is no primary"
    settings: dict[str, dict[str, str]] = {}
    try:
        for node in cluster.rest:
            async with superuser_session(cluster, node, application=APPLICATION) as session:
                settings[node] = {str(k): str(v) for k, v in await session.fetch(SETTINGS)}
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
