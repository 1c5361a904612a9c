"""Migrations as values: what is refused, what their digests stand for, which one comes next."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from replication.schema import (
    OWN_MIGRATIONS,
    Migration,
    MigrationChanged,
    grant_statements,
    grants_text,
)
from replication.schema.migration import first_word
from replication.schema.plan import check_ids, next_of
from replication.units.unit import Transaction


async def nothing(transaction: Transaction) -> None:
    """Changes nothing."""


ONE = Migration(id="1", statements=("SELECT 1",))
TWO = Migration(id="2", statements=(sql.SQL("SELECT {}").format(sql.Literal(2)),))
THREE = Migration(id="3", function=nothing, version="1")
ALL = (ONE, TWO, THREE)

PUBLISHED = {
    "0001-unit-of-work": "5b146cd75348791daa9d79af5e189a9f3f2b67074ab65346b9d307712e87a6cb",
    "0002-bulk": "7f1203cc3b09741027192c115d05dd3752c98093d7a9da1eaa64a807c651e4c8",
    "0003-attempt-key": "127d687d29357f36704ee1ea5f3ef8eb3a784c2fc321ffcdbf2ae773dbd749d0",
}
"""What databases out there have in their ledgers."""


def test_published_migrations_never_change() -> None:
    """A change of a table is a migration of its own, at the end."""
    assert {migration.id: migration.digest for migration in OWN_MIGRATIONS} == PUBLISHED


def test_the_next_one() -> None:
    digests = {migration.id: migration.digest for migration in ALL}
    assert next_of(ALL, {}) is ONE
    assert next_of(ALL, {"1": digests["1"]}) is TWO
    assert next_of(ALL, digests) is None
    assert next_of(ALL, digests | {"4": "from the future"}) is None
    assert next_of((), {}) is None


@pytest.mark.parametrize(
    ("applied", "words"),
    [
        ({"1": TWO.digest}, "1 was applied with another content"),
        ({"2": TWO.digest}, "1 comes before 2"),
        ({"1": ONE.digest, "3": THREE.digest}, "2 comes before 3"),
    ],
)
def test_what_does_not_fit_is_refused(applied: dict[str, str], words: str) -> None:
    with pytest.raises(MigrationChanged, match=words):
        next_of(ALL, applied)


def test_ids_are_unique() -> None:
    check_ids(ALL)
    with pytest.raises(ValueError, match="two migrations have the id 1"):
        check_ids([ONE, TWO, ONE])


def test_a_digest_stands_for_the_content_alone() -> None:
    same = Migration(id="other", statements=(sql.SQL("SELECT 1"),))
    assert same.digest == ONE.digest
    split = Migration(id="1", statements=("SELECT 1", "SELECT 2"))
    joined = Migration(id="1", statements=("SELECT 1SELECT 2",))
    assert len({ONE.digest, TWO.digest, THREE.digest, split.digest, joined.digest}) == 5
    assert Migration(id="3", function=nothing, version="2").digest != THREE.digest


@pytest.mark.parametrize(
    "statement",
    ["COMMIT", "  -- done\n commit", "/* a */ ROLLBACK", "begin", "PREPARE TRANSACTION 'x'"],
)
def test_a_migration_is_one_transaction(statement: str) -> None:
    with pytest.raises(ValueError, match="one transaction already"):
        Migration(id="1", statements=(statement,))  # type: ignore[arg-type]


def test_either_statements_or_a_function() -> None:
    with pytest.raises(ValueError, match="either statements or a function"):
        Migration(id="1")
    with pytest.raises(ValueError, match="either statements or a function"):
        Migration(id="1", statements=("SELECT 1",), function=nothing, version="1")
    with pytest.raises(ValueError, match="needs a version"):
        Migration(id="1", function=nothing)
    with pytest.raises(ValueError, match="has an id"):
        Migration(id="", statements=("SELECT 1",))


@pytest.mark.parametrize(
    ("text", "word"),
    [("select 1", "SELECT"), ("\n\t-- x\n/* y\n*/ -- z\nDO $$", "DO"), ("", ""), ("-- x", "")],
)
def test_the_first_word(text: str, word: str) -> None:
    assert first_word(text) == word


def test_grants_name_the_role_safely() -> None:
    text = grants_text('a"b')
    assert text.count('TO "a""b";\n') == len(grant_statements("x"))
    assert "DELETE" not in text
    assert "DELETE" in grants_text("x", prune=True)
    assert "INSERT" not in grants_text("x", prune=True)


@pytest.mark.parametrize(("role", "prune"), [("app", False), ("pruner", True)])
def test_the_grants_in_the_manual_are_the_grants(role: str, prune: bool) -> None:
    page = (Path(__file__).parents[4] / "docs" / "use" / "schema-changes.md").read_text()
    _, _, rest = page.partition(f"<!-- grants:{role} -->\n```sql\n")
    assert rest.partition("```")[0] == grants_text(role, prune=prune)
