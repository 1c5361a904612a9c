"""What a refusal to connect means, whatever language it is in."""

from __future__ import annotations

import pytest

from replication.wire.refusals import REFUSALS, Meaning, parse_start_failure, refusal_with

PREFIX = 'connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("sqlstate", "meaning"),
    [
        ("08006", Meaning.NOT_READY),
        ("08P01", Meaning.START_REFUSED),
        ("0A000", Meaning.START_REFUSED),
        ("22023", Meaning.START_REFUSED),
        ("28000", Meaning.NOT_ADMITTED),
        ("28P01", Meaning.NOT_ADMITTED),
        ("3D000", Meaning.NOT_ADMITTED),
        ("42501", Meaning.NOT_ADMITTED),
        ("42704", Meaning.START_REFUSED),
        ("53200", Meaning.FULL),
        ("53300", Meaning.FULL),
        ("55000", Meaning.NOT_ADMITTED),
        ("55P02", Meaning.START_REFUSED),
        ("57P01", Meaning.NOT_READY),
        ("57P03", Meaning.NOT_READY),
        ("58P01", Meaning.NOT_READY),
        ("XX000", Meaning.NOT_READY),
        ("ZZ999", Meaning.NOT_READY),
    ],
)
def test_the_five_characters_decide(sqlstate: str, meaning: Meaning) -> None:
    assert refusal_with(sqlstate).meaning is meaning


def test_every_row_is_reached() -> None:
    assert all(refusal_with(row.code.ljust(5, "9")) is row for row in REFUSALS)


@pytest.mark.parametrize(
    ("said", "sqlstate", "words"),
    [
        (
            "FATAL:  53300: désolé, trop de clients sont déjà connectés\n"
            "EMPLACEMENT : InitProcess, proc.c:358\n",
            "53300",
            "FATAL:  désolé, trop de clients sont déjà connectés",
        ),
        (
            'ВАЖНО:  3D000: база данных "a:  28P01: b" не существует\nDETAIL:  x\n'
            "LOCATION:  InitPostgres, postinit.c:986\n",
            "3D000",
            'ВАЖНО:  база данных "a:  28P01: b" не существует\nDETAIL:  x',
        ),
        ("FATAL:  08P01: unsupported startup parameter: options\n", "08P01", None),
        ("Connection refused\n\tIs the server running on that host?\n", None, None),
        ("server closed the connection unexpectedly\n", None, None),
        ("FATAL: 28P01: one space is not libpq's place for it\n", None, None),
    ],
)
def test_the_code_is_found_at_its_place(said: str, sqlstate: str | None, words: str | None) -> None:
    found, message = parse_start_failure(PREFIX + said)
    assert found == sqlstate
    if words is not None:
        assert message == PREFIX + words
