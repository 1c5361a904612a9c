"""What SQLAlchemy's suite asks of PostgreSQL: everything that it can ask for, but ``CANNOT``.

By itself it asks only for what every database has.
"""

from __future__ import annotations

from sqlalchemy.testing import config, exclusions
from sqlalchemy.testing.exclusions import BooleanPredicate, compound
from sqlalchemy.testing.requirements import SuiteRequirements

CANNOT = {
    "computed_columns_default_persisted": "the default is virtual from PostgreSQL 18 on",
    "dbapi_lastrowid": "PostgreSQL returns keys with RETURNING; psycopg has no cursor.lastrowid",
    "emulated_lastrowid": "as dbapi_lastrowid",
    "emulated_lastrowid_even_with_sequences": "as dbapi_lastrowid",
    "fetch_percent": "PostgreSQL has no FETCH FIRST n PERCENT",
    "foreign_keys_reflect_as_index": "a foreign key makes no index in PostgreSQL",
    "json_deserializer_binary": "psycopg gives JSON to the deserializer as text here",
    "materialized_views_reflect_pk": "a materialized view has no primary key in PostgreSQL",
    "non_updating_cascade": "PostgreSQL has ON UPDATE CASCADE",
    "nvarchar_types": "PostgreSQL has no NVARCHAR",
    "reflect_indexes_with_ascdesc_as_expression": "they are reflected as columns",
    "repeated_remote_col_foreign_keys": "PostgreSQL refuses to reference a column twice",
    "unique_index_reflect_as_unique_constraints": "a unique index is no constraint in PostgreSQL",
}
"""By the names of ``SuiteRequirements``, with the reason."""


def _opened(requirement: property) -> property:
    """``requirement``, asked for where the suite by itself does not."""

    def found(self: SuiteRequirements) -> object:
        asked = requirement.fget(self)
        never = isinstance(asked, compound) and any(
            isinstance(skip, BooleanPredicate) and skip.value for skip in asked.skips
        )
        return exclusions.open() if never else asked

    return property(found)


class Requirements(SuiteRequirements):
    """For PostgreSQL through psycopg."""

    def get_order_by_collation(self, _: config.Config) -> str:
        """One that every PostgreSQL has."""
        return "POSIX"


for _name, _value in vars(SuiteRequirements).items():
    if isinstance(_value, property) and _name not in CANNOT:
        setattr(Requirements, _name, _opened(_value))
