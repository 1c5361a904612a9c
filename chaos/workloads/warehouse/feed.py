"""How deliveries become facts, and how a patient's facts are taken away: migrations. Pure.

A delivery is copied into ``feed.record``, and in the same transaction ``feed.merge`` makes stays
and measurements of it and moves the watermark of its source. Everything is found by the keys of the
source, so a delivery that comes again finds itself and changes nothing.

**No gap.** A delivery that does not follow the watermark is refused. So a feed that was ahead of a
database which was restored begins again from the watermark that it finds.

**A patient who withdraws stays away.** ``feed.withdraw`` deletes the facts of a person everywhere,
what the feeds keep of them too, and the row in ``warehouse.person``, which it locks first. A merge
locks the persons of its delivery before it looks at anything else (FOR KEY SHARE, in the order of
their ids), and drops the records of those who are not there. So either the withdrawal waits, and
deletes what the merge brought; or the merge waits, and finds nobody. Both run in READ COMMITTED,
where each statement sees what was committed before it (PostgreSQL manual, 13.2.1).
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from chaos.workloads.warehouse.concepts import concept
from chaos.workloads.warehouse.tables import FACTS, FEED_IDS_FROM
from replication.schema import Migration

RECORD = ("feed", "record")
RECORD_COLUMNS = (
    *("source", "batch", "place", "record_key", "version", "visit_key", "person_id"),
    *("taken_on", "value"),
)

_TABLES: tuple[LiteralString, ...] = (
    """
    CREATE TABLE feed.record (
        source text NOT NULL,
        batch integer NOT NULL,
        place integer NOT NULL,
        record_key text NOT NULL,
        version integer NOT NULL,
        visit_key text NOT NULL,
        person_id integer NOT NULL,
        taken_on date NOT NULL,
        value numeric NOT NULL
    )
    """,
    "CREATE INDEX ON feed.record (source, batch)",
    "CREATE INDEX ON feed.record (person_id)",
    """
    CREATE TABLE feed.visit_key (
        source text NOT NULL,
        visit_key text NOT NULL,
        visit_occurrence_id integer NOT NULL,
        person_id integer NOT NULL,
        PRIMARY KEY (source, visit_key)
    )
    """,
    "CREATE INDEX ON feed.visit_key (person_id)",
    """
    CREATE TABLE feed.record_key (
        source text NOT NULL,
        record_key text NOT NULL,
        version integer NOT NULL,
        measurement_id integer NOT NULL,
        person_id integer NOT NULL,
        PRIMARY KEY (source, record_key)
    )
    """,
    "CREATE INDEX ON feed.record_key (person_id)",
    """
    CREATE TABLE feed.batch (
        id text NOT NULL,
        source text NOT NULL,
        batch integer NOT NULL,
        kind text NOT NULL,
        received integer NOT NULL,
        visits integer NOT NULL,
        inserted integer NOT NULL,
        corrected integer NOT NULL,
        unchanged integer NOT NULL,
        refused integer NOT NULL,
        erased integer NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX ON feed.batch (source, batch)",
    "CREATE TABLE feed.watermark (source text PRIMARY KEY, batch integer NOT NULL)",
    """
    CREATE TABLE identity.withdrawal (
        id text NOT NULL,
        site text NOT NULL,
        number integer NOT NULL,
        person_id integer NOT NULL,
        kind text NOT NULL,
        removed jsonb NOT NULL,
        keys jsonb NOT NULL
    )
    """,
    "CREATE INDEX ON identity.withdrawal (person_id)",
)

_VALUE_OF: LiteralString = """
    CREATE FUNCTION feed.value_of(record_key text, version integer) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    RETURN (('x' || left(md5(record_key || '/' || version), 6))::bit(24)::integer % 100000) / 100.0
"""

_MERGE: LiteralString = """
    CREATE FUNCTION feed.merge(batch_id text, of_source text, of_batch integer, of_kind text)
    RETURNS void LANGUAGE plpgsql AS $function$
    DECLARE
        received integer; visits integer; inserted integer;
        corrected integer; unchanged integer; refused integer; mark integer;
    BEGIN
        SELECT max(w.batch) INTO mark FROM feed.watermark AS w WHERE w.source = of_source;
        IF of_batch <> coalesce(mark, 0) + 1 THEN
            RAISE EXCEPTION 'delivery % of % does not follow %', of_batch, of_source,
                coalesce(mark, 0) USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;

        SELECT count(*) INTO received FROM feed.record AS r
        WHERE r.source = of_source AND r.batch = of_batch;

        PERFORM FROM warehouse.person AS p
        WHERE p.person_id IN (
            SELECT r.person_id FROM feed.record AS r
            WHERE r.source = of_source AND r.batch = of_batch
        )
        ORDER BY p.person_id FOR KEY SHARE;

        DELETE FROM feed.record AS r
        WHERE r.source = of_source AND r.batch = of_batch
            AND NOT EXISTS (SELECT FROM warehouse.person AS p WHERE p.person_id = r.person_id);
        GET DIAGNOSTICS refused = ROW_COUNT;

        SELECT count(*) INTO unchanged FROM feed.record AS r
        JOIN feed.record_key AS k ON k.source = of_source AND k.record_key = r.record_key
        WHERE r.source = of_source AND r.batch = of_batch AND k.version >= r.version;

        WITH stay AS (
            SELECT r.visit_key, r.person_id, min(r.taken_on) AS day FROM feed.record AS r
            WHERE r.source = of_source AND r.batch = of_batch
            GROUP BY r.visit_key, r.person_id
        ), fresh AS (
            INSERT INTO feed.visit_key (source, visit_key, visit_occurrence_id, person_id)
            SELECT of_source, s.visit_key, nextval('feed.visit_id'), s.person_id FROM stay AS s
            WHERE NOT EXISTS (
                SELECT FROM feed.visit_key AS k
                WHERE k.source = of_source AND k.visit_key = s.visit_key
            )
            RETURNING visit_key, visit_occurrence_id, person_id
        )
        INSERT INTO warehouse.visit_occurrence (
            visit_occurrence_id, person_id, visit_concept_id, visit_start_date, visit_end_date,
            visit_type_concept_id, care_site_id
        )
        SELECT f.visit_occurrence_id, f.person_id, 0, s.day, s.day, 0, 1
        FROM fresh AS f JOIN stay AS s ON s.visit_key = f.visit_key;
        GET DIAGNOSTICS visits = ROW_COUNT;

        WITH newer AS (
            UPDATE feed.record_key AS k SET version = r.version FROM feed.record AS r
            WHERE r.source = of_source AND r.batch = of_batch
                AND k.source = of_source AND k.record_key = r.record_key AND k.version < r.version
            RETURNING k.measurement_id, r.value
        )
        UPDATE warehouse.measurement AS m SET value_as_number = n.value
        FROM newer AS n WHERE m.measurement_id = n.measurement_id;
        GET DIAGNOSTICS corrected = ROW_COUNT;

        WITH fresh AS (
            INSERT INTO feed.record_key (source, record_key, version, measurement_id, person_id)
            SELECT of_source, r.record_key, r.version, nextval('feed.measurement_id'), r.person_id
            FROM feed.record AS r
            WHERE r.source = of_source AND r.batch = of_batch AND NOT EXISTS (
                SELECT FROM feed.record_key AS k
                WHERE k.source = of_source AND k.record_key = r.record_key
            )
            RETURNING record_key, measurement_id, person_id
        )
        INSERT INTO warehouse.measurement (
            measurement_id, person_id, measurement_concept_id, measurement_date,
            measurement_type_concept_id, value_as_number, unit_concept_id, visit_occurrence_id
        )
        SELECT f.measurement_id, f.person_id, {measured}, r.taken_on, 0, r.value, 0,
            v.visit_occurrence_id
        FROM fresh AS f
        JOIN feed.record AS r ON r.record_key = f.record_key
            AND r.source = of_source AND r.batch = of_batch
        JOIN feed.visit_key AS v ON v.source = of_source AND v.visit_key = r.visit_key;
        GET DIAGNOSTICS inserted = ROW_COUNT;

        INSERT INTO feed.batch (
            id, source, batch, kind, received, visits, inserted, corrected, unchanged, refused
        ) VALUES (
            batch_id, of_source, of_batch, of_kind, received, visits, inserted, corrected,
            unchanged, refused
        );
        INSERT INTO feed.watermark AS w (source, batch) VALUES (of_source, of_batch)
        ON CONFLICT (source) DO UPDATE SET batch = excluded.batch;
    END
    $function$
"""

_WITHDRAW: LiteralString = """
    CREATE FUNCTION feed.withdraw(
        withdrawal_id text, of_site text, of_number integer, person integer, of_kind text
    ) RETURNS void LANGUAGE plpgsql AS $function$
    DECLARE
        fact text; removed jsonb := jsonb_build_object(); keys jsonb; deleted integer;
    BEGIN
        PERFORM FROM warehouse.person AS p WHERE p.person_id = person FOR UPDATE;

        WITH gone AS (
            DELETE FROM feed.record AS r WHERE r.person_id = person RETURNING r.source, r.batch
        ), sums AS (
            SELECT source, batch, count(*) AS number FROM gone GROUP BY source, batch
        )
        UPDATE feed.batch AS b SET erased = b.erased + s.number
        FROM sums AS s WHERE b.source = s.source AND b.batch = s.batch;

        WITH gone AS (
            DELETE FROM feed.record_key AS k WHERE k.person_id = person RETURNING k.source
        ), sums AS (SELECT source, count(*) AS number FROM gone GROUP BY source)
        SELECT coalesce(jsonb_object_agg(source, number), jsonb_build_object()) INTO keys FROM sums;
        DELETE FROM feed.visit_key AS k WHERE k.person_id = person;

        FOREACH fact IN ARRAY {facts}::text[] LOOP
            EXECUTE format('DELETE FROM warehouse.%I WHERE person_id = $1', fact) USING person;
            GET DIAGNOSTICS deleted = ROW_COUNT;
            removed := removed || jsonb_build_object(fact, deleted);
        END LOOP;
        IF of_kind = 'erasure' THEN
            DELETE FROM identity.patient AS p WHERE p.person_id = person;
            GET DIAGNOSTICS deleted = ROW_COUNT;
            removed := removed || jsonb_build_object('patient', deleted);
        END IF;
        INSERT INTO identity.withdrawal (id, site, number, person_id, kind, removed, keys)
        VALUES (withdrawal_id, of_site, of_number, person, of_kind, removed, keys);
    END
    $function$
"""


def _sequence(name: LiteralString) -> sql.Composed:
    return sql.SQL("CREATE SEQUENCE {} AS integer START {}").format(
        sql.Identifier("feed", name), sql.Literal(FEED_IDS_FROM)
    )


FEED_MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        id="0005-feed",
        statements=(
            *(sql.SQL(text) for text in _TABLES),
            _sequence("visit_id"),
            _sequence("measurement_id"),
        ),
    ),
    Migration(
        id="0006-feed-functions",
        statements=(
            sql.SQL(_VALUE_OF),
            sql.SQL(_MERGE).format(measured=sql.Literal(concept("Analyse 1"))),
            sql.SQL(_WITHDRAW).format(
                facts=sql.Literal([*(table.name for table in FACTS), "person"])
            ),
        ),
    ),
)
"""Tables that are logged, all of them: an unlogged staging table is empty after a failover."""

MERGE: LiteralString = "SELECT feed.merge(%s, %s, %s, %s)"
WITHDRAW: LiteralString = "SELECT feed.withdraw(%s, %s, %s, %s, %s)"

GRANTS: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA warehouse, identity, feed TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA warehouse, feed TO {role}",
    "GRANT SELECT, DELETE ON identity.patient TO {role}",
    "GRANT SELECT, INSERT ON identity.withdrawal TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA feed TO {role}",
)
"""Of the role that feeds and that carries withdrawals out."""
