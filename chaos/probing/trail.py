"""What the logs of a node have of the accesses: read by its superuser, where the node writes them.

Every access has a mark of its own in a comment of its statement. The logs are jsonlog (PostgreSQL
manual, 19.8.5), which names the user beside the statement; they are looked through on the server,
so that nothing else of them travels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from replication.wire import Session

MARK = "bascule-access"

SETTINGS: LiteralString = (
    "SELECT current_setting('logging_collector'), current_setting('log_destination'),"
    " current_setting('log_directory')"
)

_ENTRIES: LiteralString = r"""
WITH marked AS MATERIALIZED (
    SELECT CASE WHEN line LIKE '%/* bascule-access %' AND line LIKE '%}' THEN line::jsonb END
        AS entry
    FROM pg_ls_dir(current_setting('log_directory')) AS name,
        regexp_split_to_table(
            pg_read_file(current_setting('log_directory') || '/' || name), '\n') AS line
    WHERE name LIKE '%.json'
)
SELECT DISTINCT substring(said FROM '/\* bascule-access ([\w-]+) \*/'), entry ->> 'user'
FROM marked, LATERAL (VALUES (entry ->> 'message'), (entry ->> 'statement')) AS texts (said)
WHERE said ~ '/\* bascule-access [\w-]+ \*/'
"""
"""The statement is the message where ``log_statement`` says so, and stands beside an error. A line
that a power cut left in half has no end, and is passed over."""


_VALUES: LiteralString = r"""
WITH sealed AS MATERIALIZED (
    SELECT convert_from(decode(value, 'hex'), 'UTF8') AS value FROM unnest(%s::text[]) AS value
)
SELECT value, count(*)::text FROM sealed, pg_ls_dir(current_setting('log_directory')) AS name,
    regexp_split_to_table(
        pg_read_file(current_setting('log_directory') || '/' || name), '\n') AS line
WHERE strpos(line, value) > 0
GROUP BY value
"""
"""In every file of the folder, whatever its format. The values come in hexadecimal, because this
statement and its parameters may stand in the log too."""


def problem_of_settings(collector: str, destination: str) -> str | None:
    """Why a node with these settings leaves no trail that can be read; None if it does. Pure."""
    if collector != "on":
        return f"logging_collector is {collector}: set it to on"
    if "jsonlog" not in destination:
        return f"log_destination is {destination}: set it to jsonlog"
    return None


async def read_settings(session: Session) -> tuple[str, str, str]:
    """``logging_collector``, ``log_destination`` and ``log_directory``, as they are in force.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    [(collector, destination, directory)] = await session.fetch(SETTINGS)
    return str(collector), str(destination), str(directory)


async def read_entries(session: Session) -> dict[str, str]:
    """The user that the node's logs name, by the id of the access.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    return {str(id_): str(user) for id_, user in await session.fetch(_ENTRIES)}


async def read_values(session: Session, values: Sequence[str]) -> dict[str, str]:
    """How many lines of the node's logs have each of these texts; those that none has are left out.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    if not values:
        return {}
    hidden = [value.encode().hex() for value in values]
    return {str(value): str(lines) for value, lines in await session.fetch(_VALUES, (hidden,))}
