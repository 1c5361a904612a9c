"""The tables of the hospital's warehouse, as data, and the migrations that make them. Pure.

The names are those of OMOP's common data model 5.4, in a subset of its tables and columns: every
column that OMOP demands, and those that the generator fills. The definitions are this project's
own; ``examples/warehouse/check_names.py`` compares the names with a package that knows OMOP.

- ``warehouse``: the pseudonymised facts. No foreign keys, as in OMOP warehouses that are loaded in
  bulk: whether every fact has its visit and its person is checked by the drill (F3).
- ``identity``: who the patients are, apart from all facts; only the feeds' side has rights there.
- ``osiris``: views over the facts in the words of French cancer research (OSIRIS, JCO Clin Cancer
  Inform 2021;5:256-265): tumour events, treatment lines, biomarkers. They run with the rights of
  their reader (``security_invoker``, PostgreSQL 15), so they open nothing.

Concepts are made up: the real vocabularies have licences of their own and are not shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from replication.schema import Migration

SERIES = "warehouse"
"""Of the migrations."""

FEED_IDS_FROM = 1_000_000_000
"""Ids of rows that feeds bring begin here, far above those that are generated; OMOP's ids are
``integer``, up to 2,147,483,647."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OmopTable:
    """One table: its columns by name and type; the first one is its key."""

    schema: str
    name: str
    columns: tuple[tuple[LiteralString, LiteralString], ...]
    by_person: bool = True
    """It has rows of patients, found by ``person_id``."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns."""
        return tuple(name for name, _ in self.columns)

    @property
    def key(self) -> str:
        """The column that identifies a row."""
        return self.columns[0][0]

    @property
    def identifier(self) -> sql.Identifier:
        """Its name with its schema."""
        return sql.Identifier(self.schema, self.name)


def _omop(
    name: str, *columns: tuple[LiteralString, LiteralString], by_person: bool = True
) -> OmopTable:
    return OmopTable(schema="warehouse", name=name, columns=columns, by_person=by_person)


CONCEPT = _omop(
    "concept",
    ("concept_id", "integer"),
    ("concept_name", "varchar(255)"),
    ("domain_id", "varchar(20)"),
    ("vocabulary_id", "varchar(20)"),
    ("concept_class_id", "varchar(20)"),
    ("concept_code", "varchar(50)"),
    ("valid_start_date", "date"),
    ("valid_end_date", "date"),
    by_person=False,
)
CARE_SITE = _omop(
    "care_site",
    ("care_site_id", "integer"),
    ("care_site_name", "varchar(255)"),
    ("place_of_service_concept_id", "integer"),
    by_person=False,
)
PERSON = _omop(
    "person",
    ("person_id", "integer"),
    ("gender_concept_id", "integer"),
    ("year_of_birth", "integer"),
    ("month_of_birth", "integer"),
    ("race_concept_id", "integer"),
    ("ethnicity_concept_id", "integer"),
    ("care_site_id", "integer"),
)
OBSERVATION_PERIOD = _omop(
    "observation_period",
    ("observation_period_id", "integer"),
    ("person_id", "integer"),
    ("observation_period_start_date", "date"),
    ("observation_period_end_date", "date"),
    ("period_type_concept_id", "integer"),
)
VISIT = _omop(
    "visit_occurrence",
    ("visit_occurrence_id", "integer"),
    ("person_id", "integer"),
    ("visit_concept_id", "integer"),
    ("visit_start_date", "date"),
    ("visit_end_date", "date"),
    ("visit_type_concept_id", "integer"),
    ("care_site_id", "integer"),
)
CONDITION = _omop(
    "condition_occurrence",
    ("condition_occurrence_id", "integer"),
    ("person_id", "integer"),
    ("condition_concept_id", "integer"),
    ("condition_start_date", "date"),
    ("condition_type_concept_id", "integer"),
    ("visit_occurrence_id", "integer"),
)
PROCEDURE = _omop(
    "procedure_occurrence",
    ("procedure_occurrence_id", "integer"),
    ("person_id", "integer"),
    ("procedure_concept_id", "integer"),
    ("procedure_date", "date"),
    ("procedure_type_concept_id", "integer"),
    ("visit_occurrence_id", "integer"),
)
DRUG = _omop(
    "drug_exposure",
    ("drug_exposure_id", "integer"),
    ("person_id", "integer"),
    ("drug_concept_id", "integer"),
    ("drug_exposure_start_date", "date"),
    ("drug_exposure_end_date", "date"),
    ("drug_type_concept_id", "integer"),
    ("quantity", "numeric"),
    ("visit_occurrence_id", "integer"),
)
MEASUREMENT = _omop(
    "measurement",
    ("measurement_id", "integer"),
    ("person_id", "integer"),
    ("measurement_concept_id", "integer"),
    ("measurement_date", "date"),
    ("measurement_type_concept_id", "integer"),
    ("value_as_number", "numeric"),
    ("unit_concept_id", "integer"),
    ("visit_occurrence_id", "integer"),
)
NOTE = _omop(
    "note",
    ("note_id", "integer"),
    ("person_id", "integer"),
    ("note_date", "date"),
    ("note_type_concept_id", "integer"),
    ("note_class_concept_id", "integer"),
    ("note_title", "varchar(250)"),
    ("note_text", "text"),
    ("encoding_concept_id", "integer"),
    ("language_concept_id", "integer"),
    ("visit_occurrence_id", "integer"),
)
SPECIMEN = _omop(
    "specimen",
    ("specimen_id", "integer"),
    ("person_id", "integer"),
    ("specimen_concept_id", "integer"),
    ("specimen_type_concept_id", "integer"),
    ("specimen_date", "date"),
    ("anatomic_site_concept_id", "integer"),
)
EPISODE = _omop(
    "episode",
    ("episode_id", "integer"),
    ("person_id", "integer"),
    ("episode_concept_id", "integer"),
    ("episode_start_date", "date"),
    ("episode_end_date", "date"),
    ("episode_number", "integer"),
    ("episode_object_concept_id", "integer"),
    ("episode_type_concept_id", "integer"),
)
DEATH = _omop(
    "death",
    ("person_id", "integer"),
    ("death_date", "date"),
    ("death_type_concept_id", "integer"),
    ("cause_concept_id", "integer"),
)
PATIENT = OmopTable(
    schema="identity",
    name="patient",
    columns=(
        ("person_id", "integer"),
        ("hospital_number", "varchar(20)"),
        ("family_name", "varchar(40)"),
        ("given_name", "varchar(40)"),
        ("birth_date", "date"),
    ),
)

TABLES: tuple[OmopTable, ...] = (
    *(CONCEPT, CARE_SITE, PATIENT, PERSON, OBSERVATION_PERIOD, VISIT, CONDITION, PROCEDURE),
    *(DRUG, MEASUREMENT, NOTE, SPECIMEN, EPISODE, DEATH),
)
"""In an order in which a row comes after what it refers to."""

OF_PATIENTS: tuple[OmopTable, ...] = tuple(table for table in TABLES if table.by_person)
FACTS: tuple[OmopTable, ...] = tuple(
    table for table in OF_PATIENTS if table not in (PATIENT, PERSON)
)
"""The facts about a person."""
OF_VISITS: tuple[OmopTable, ...] = tuple(
    table for table in FACTS if table is not VISIT and "visit_occurrence_id" in table.names
)
"""Those that refer to a visit too."""


def table_named(name: str) -> OmopTable | None:
    """The OMOP table of that name; None: there is none."""
    return next((t for t in TABLES if t.schema == "warehouse" and t.name == name), None)


def _create(table: OmopTable) -> sql.Composed:
    columns = (
        sql.SQL("{} {} NOT NULL").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in table.columns
    )
    return sql.SQL("CREATE TABLE {} ({})").format(table.identifier, sql.SQL(", ").join(columns))


def _keys(table: OmopTable) -> Sequence[sql.Composed]:
    key = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(
        table.identifier, sql.Identifier(table.key)
    )
    if not table.by_person or table.key == "person_id":
        return (key,)
    index = sql.SQL("CREATE INDEX ON {} (person_id)").format(table.identifier)
    return (key, index)


_SCHEMAS: tuple[LiteralString, ...] = (
    "CREATE SCHEMA warehouse",
    "CREATE SCHEMA identity",
    "CREATE SCHEMA osiris",
    "CREATE SCHEMA feed",
    "REVOKE ALL ON SCHEMA warehouse, identity, osiris, feed FROM PUBLIC",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    """
    CREATE TABLE feed.generated (
        table_name text PRIMARY KEY,
        profile text NOT NULL,
        seed bigint NOT NULL,
        rows bigint NOT NULL
    )
    """,
)

_VIEWS: tuple[LiteralString, ...] = (
    """
    CREATE VIEW osiris.tumour_event WITH (security_invoker = true) AS
    SELECT c.condition_occurrence_id AS tumour_event_id, c.person_id, c.condition_start_date
        AS event_date, t.concept_code AS topography, t.concept_name AS topography_label
    FROM warehouse.condition_occurrence AS c
    JOIN warehouse.concept AS t ON t.concept_id = c.condition_concept_id
    WHERE t.concept_class_id = 'Tumour'
    """,
    """
    CREATE VIEW osiris.treatment_line WITH (security_invoker = true) AS
    SELECT e.episode_id AS treatment_line_id, e.person_id, e.episode_number AS line_number,
        e.episode_start_date AS start_date, e.episode_end_date AS end_date,
        r.concept_name AS regimen
    FROM warehouse.episode AS e
    JOIN warehouse.concept AS r ON r.concept_id = e.episode_object_concept_id
    """,
    """
    CREATE VIEW osiris.biomarker WITH (security_invoker = true) AS
    SELECT m.measurement_id AS biomarker_id, m.person_id, m.measurement_date AS sample_date,
        b.concept_name AS biomarker, m.value_as_number AS value
    FROM warehouse.measurement AS m
    JOIN warehouse.concept AS b ON b.concept_id = m.measurement_concept_id
    WHERE b.concept_class_id = 'Biomarker'
    """,
)

TABLE_MIGRATIONS: tuple[Migration, ...] = (
    Migration(id="0001-schemas", statements=tuple(sql.SQL(text) for text in _SCHEMAS)),
    Migration(id="0002-tables", statements=tuple(_create(table) for table in TABLES)),
)
"""Before the data: a load into tables without keys is half as long."""

KEY_MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        id="0003-keys",
        statements=tuple(statement for table in TABLES for statement in _keys(table)),
    ),
    Migration(id="0004-osiris", statements=tuple(sql.SQL(text) for text in _VIEWS)),
)
"""After the data."""
