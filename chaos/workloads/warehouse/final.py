"""What the final read takes down of the warehouse, on every node: one statement, one snapshot.

A ``row`` for each delivery, withdrawal and recorded read. As ``state``: the watermarks, what is
kept of each source, how many rows each table has, how many of them have no person or no stay, and
what must never be there. Everything that is counted is counted by the server, because a hundred
thousand rows of every node would tell no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import LiteralString

from chaos.workloads.warehouse.tables import FEED_IDS_FROM

COHORT: LiteralString = "mod(person_id, 10) = 0"
"""Nobody of them ever withdraws, so that a read of what was generated of them has one answer."""

_TABLES: Sequence[LiteralString] = (
    *("person", "observation_period", "visit_occurrence", "condition_occurrence"),
    *("procedure_occurrence", "drug_exposure", "measurement", "note", "specimen", "episode"),
    "death",
)
_OF_VISITS: Sequence[LiteralString] = (
    *("condition_occurrence", "procedure_occurrence", "drug_exposure", "measurement", "note"),
)

_ROWS: LiteralString = """
    SELECT 'row' AS kind, b.id, json_build_object(
        'op', 'delivery', 'source', b.source, 'batch', b.batch, 'kind', b.kind,
        'received', b.received, 'visits', b.visits, 'inserted', b.inserted,
        'corrected', b.corrected, 'unchanged', b.unchanged, 'refused', b.refused,
        'erased', b.erased, 'held', coalesce(r.held, 0), 'places', coalesce(r.places, 0),
        'foreign', coalesce(r.strange, 0)
    )::text AS content
    FROM feed.batch AS b
    LEFT JOIN (
        SELECT source, batch, count(*) AS held, count(DISTINCT place) AS places,
            count(*) FILTER (WHERE value <> feed.value_of(record_key, version)) AS strange
        FROM feed.record GROUP BY source, batch
    ) AS r ON r.source = b.source AND r.batch = b.batch
    UNION ALL
    SELECT 'row', w.id, json_build_object(
        'op', 'withdrawal', 'person', w.person_id, 'kind', w.kind, 'removed', w.removed,
        'keys', w.keys
    )::text
    FROM identity.withdrawal AS w
    UNION ALL
    SELECT 'row', a.id, json_build_object('op', 'access', 'what', a.what, 'node', a.node)::text
    FROM bascule.warehouse_access AS a
"""

_STATE: LiteralString = """
    UNION ALL
    SELECT 'state', 'watermark:' || source, batch::text FROM feed.watermark
    UNION ALL
    SELECT 'state', 'batches:' || source,
        json_build_object('number', count(*), 'distinct', count(DISTINCT batch), 'last', max(batch))
            ::text
    FROM feed.batch GROUP BY source
    UNION ALL
    SELECT 'state', 'keys:' || source, count(*)::text FROM feed.record_key GROUP BY source
    UNION ALL
    SELECT 'state', 'wrong-values', count(*)::text FROM feed.record_key AS k
    LEFT JOIN warehouse.measurement AS m ON m.measurement_id = k.measurement_id
    WHERE m.value_as_number IS DISTINCT FROM feed.value_of(k.record_key, k.version)
    UNION ALL
    SELECT 'state', 'ids-twice', (count(*) - count(DISTINCT measurement_id))::text
    FROM warehouse.measurement
    UNION ALL
    SELECT 'state', 'ids-ahead-of-sequence', count(*)::text FROM (
        SELECT max(measurement_id) AS id FROM warehouse.measurement
        HAVING max(measurement_id) > (SELECT greatest(last_value, {below}) FROM feed.measurement_id)
        UNION ALL
        SELECT max(visit_occurrence_id) FROM warehouse.visit_occurrence
        HAVING max(visit_occurrence_id) > (SELECT greatest(last_value, {below}) FROM feed.visit_id)
    ) AS ahead
    UNION ALL
    SELECT 'state', 'not-logged:' || n.nspname || '.' || c.relname, c.relpersistence::text
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('warehouse', 'identity', 'feed') AND c.relpersistence <> 'p'
        AND c.relkind IN ('r', 'S')
    UNION ALL
    SELECT 'state', 'cohort', count(*) || '/' || coalesce(sum(value_as_number), 0)
    FROM warehouse.measurement WHERE {cohort} AND measurement_id < {below}
    UNION ALL
    SELECT 'state', 'withdrawn-kept:record', count(*)::text
    FROM feed.record WHERE person_id IN (SELECT person_id FROM identity.withdrawal)
    UNION ALL
    SELECT 'state', 'withdrawn-kept:patient', count(*)::text
    FROM identity.patient
    WHERE person_id IN (SELECT person_id FROM identity.withdrawal WHERE kind = 'erasure')
"""


_OF_EVERY: LiteralString = """
    UNION ALL
    SELECT 'state', 'rows:{table}', count(*)::text FROM warehouse.{table}
    UNION ALL
    SELECT 'state', 'withdrawn-kept:{table}', count(*)::text FROM warehouse.{table}
    WHERE person_id IN (SELECT person_id FROM identity.withdrawal)
    UNION ALL
    SELECT 'state', 'no-person:{table}', count(*)::text FROM warehouse.{table} AS f
    WHERE NOT EXISTS (SELECT FROM warehouse.person AS p WHERE p.person_id = f.person_id)
"""
_OF_VISIT: LiteralString = """
    UNION ALL
    SELECT 'state', 'no-visit:{table}', count(*)::text FROM warehouse.{table} AS f
    WHERE NOT EXISTS (
        SELECT FROM warehouse.visit_occurrence AS v
        WHERE v.visit_occurrence_id = f.visit_occurrence_id AND v.person_id = f.person_id
    )
"""


def _of_tables() -> Iterator[LiteralString]:
    for name in _TABLES:
        yield _OF_EVERY.replace("{table}", name)
    for name in _OF_VISITS:
        yield _OF_VISIT.replace("{table}", name)


_BELOW: LiteralString = "1000000000"
assert int(_BELOW) == FEED_IDS_FROM

FINAL_READ: LiteralString = (
    "SELECT kind, id, content FROM ("
    + _ROWS
    + _STATE.replace("{below}", _BELOW).replace("{cohort}", COHORT)
    + " ".join(_of_tables())
    + ") AS everything ORDER BY kind, id, content"
)
