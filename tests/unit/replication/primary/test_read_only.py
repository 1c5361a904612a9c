"""Why a server takes no writes: the conclusion from what it says."""

from __future__ import annotations

import pytest

from replication.primary.read_only import REPLACED_AFTER_S, Why, WriteStanding, why_of

OLD, YOUNG = REPLACED_AFTER_S, REPLACED_AFTER_S / 2


def standing(source: str, *, at_login: bool, by_default: bool = True) -> WriteStanding:
    return WriteStanding(in_recovery=False, by_default=by_default, source=source, at_login=at_login)


def test_in_recovery_it_is_no_primary() -> None:
    there = WriteStanding(in_recovery=True, by_default=False, source="default", at_login=False)
    assert why_of(there, OLD) is Why.RECOVERY


def test_a_transaction_alone_may_be_read_only() -> None:
    assert why_of(standing("default", at_login=False, by_default=False), OLD) is Why.WRITABLE


@pytest.mark.parametrize("source", ["database", "user", "database user", "global"])
def test_what_was_read_at_login_is_compared_with_what_a_login_would_read(source: str) -> None:
    assert why_of(standing(source, at_login=True), OLD) is Why.SETTING
    assert why_of(standing(source, at_login=False), OLD) is Why.SESSION
    assert why_of(standing(source, at_login=False), YOUNG) is Why.SETTING


@pytest.mark.parametrize("source", ["configuration file", "command line", "client"])
def test_what_a_session_follows_is_believed(source: str) -> None:
    assert why_of(standing(source, at_login=False), OLD) is Why.SETTING


def test_what_somebody_has_set_in_the_session_ends_with_it() -> None:
    assert why_of(standing("session", at_login=True), OLD) is Why.SESSION
    assert why_of(standing("session", at_login=False), YOUNG) is Why.SESSION
