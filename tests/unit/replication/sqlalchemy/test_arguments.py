"""What engines are asked for: applied, or refused with the reason; nothing is simply dropped."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.pq import Conninfo
from psycopg.rows import dict_row

from replication import Member, Storage, SyncStorage
from replication.access.problems import ConfigError
from replication.config.settings import Credentials
from replication.sqlalchemy.arguments import OF_PSYCOPG, SETTINGS, Wanted, read_arguments
from replication.sqlalchemy.engines import create_async_engine, create_engine
from replication.sqlalchemy.orm import AsyncOrm, Orm

MEMBERS = [Member(name="db-a", rest_url="http://db1:8008", host="db1", port=5432)]
CREDENTIALS = Credentials(user="app", password="x", dbname="warehouse")


def test_what_is_applied() -> None:
    wanted = read_arguments(
        {
            "application_name": "reports",
            "client_encoding": "latin1",
            "options": r"-c search_path=eds,public --statement-timeout=5s -cx.y=a\ b\\c ",
            "autocommit": True,
            "row_factory": dict_row,
            "cursor_factory": None,
            "connect_timeout": None,
        }
    )
    assert wanted == Wanted(
        settings={
            "application_name": "reports",
            "client_encoding": "latin1",
            "search_path": "eds,public",
            "statement_timeout": "5s",
            "x.y": "a b\\c",
        },
        attributes={"row_factory": dict_row},
        autocommit=True,
    )
    assert read_arguments({}) == Wanted()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("nonsense", 1, "unknown argument; expected application_name, autocommit"),
        ("application_nam", "x", "did you mean application_name?"),
        ("connect_timeout", 3, "refused: give connect_deadline_s"),
        ("prepare_threshold", 5, "refused: statements are not prepared"),
        ("host", "db1", "refused: it is the storage's"),
        ("password", "x", "refused: it is the storage's"),
        ("sslmode", "require", "refused: it is the storage's"),
        ("conninfo", "host=db1", "refused: the storage has the address"),
        ("options", "-c", "expected options as -c name=value"),
        ("options", "-d 5", "expected options as -c name=value"),
        ("options", "-c a=b c", "expected options as -c name=value"),
        ("autocommit", "off", "expected True or False"),
        ("autocommit", 0, "expected True or False"),
        ("row_factory", 3, "expected what psycopg takes for it"),
        ("cursor_factory", "x", "expected what psycopg takes for it"),
        ("context", 3, "expected a connection"),
    ],
)
def test_what_is_refused(key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_arguments({key: value})
    (problem,) = refused.value.problems
    assert problem.key == key
    assert words in problem.words


@pytest.mark.parametrize(
    ("option", "is_refused"),
    [
        ("client_min_messages=notice", False),
        ("client_min_messages=ERROR", True),
        ("synchronous_commit=remote_apply", False),
        ("synchronous_commit=off", True),
        ("synchronous_commit=local", True),
        ("Default_Transaction_Read_Only=on", True),
    ],
)
def test_what_the_promises_rest_on_is_not_weakened(option: str, is_refused: bool) -> None:
    if not is_refused:
        assert read_arguments({"options": f"-c {option}"}).settings
        return
    with pytest.raises(ConfigError, match="is refused: "):
        read_arguments({"options": f"-c {option}"})


@pytest.mark.parametrize(
    "setting", ["transaction_read_only", "transaction_isolation", "Transaction_Deferrable"]
)
def test_what_ends_with_its_transaction_is_not_set_for_a_session(setting: str) -> None:
    with pytest.raises(ConfigError, match="refused: it is a transaction's; use "):
        read_arguments({"options": f"-c {setting}=on"})


@pytest.mark.parametrize("given", [[("application_name", "x")], "application_name=x", {1: 2}])
def test_what_is_no_dict_is_refused(given: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="expected a dict of names and values"):
        create_engine(SyncStorage(MEMBERS, CREDENTIALS), connect_args=given)


def test_no_argument_of_psycopg_is_dropped_in_silence() -> None:
    """Each is in the result, or refused."""
    keywords = [option.keyword.decode() for option in Conninfo.get_defaults()]
    accepted = {
        "options": "-c a=b",
        "autocommit": True,
        "context": psycopg.adapters,
        "cursor_factory": psycopg.Cursor,
        "row_factory": dict_row,
    }
    for key in {*keywords, *OF_PSYCOPG, "prepare_threshold", "conninfo"}:
        value = accepted.get(key, "x")
        try:
            wanted = read_arguments({key: value})
        except ConfigError:
            assert key not in (*SETTINGS, *OF_PSYCOPG)
        else:
            assert wanted != Wanted()


@pytest.mark.parametrize(
    "option",
    [
        {"creator": psycopg.connect},
        {"async_creator": psycopg.AsyncConnection.connect},
        {"pool": object()},
        {"module": psycopg},
        {"dialect": "postgresql"},
        {"url": "postgresql://db1/"},
        {"connect_args": {"nonsense": 1}},
    ],
)
def test_options_without_meaning_are_refused_at_once(option: dict[str, Any]) -> None:
    """Everywhere, and before anything is opened."""
    sync, storage = SyncStorage(MEMBERS, CREDENTIALS), Storage(MEMBERS, CREDENTIALS)
    (key,) = option
    for make in (
        lambda: create_engine(sync, **option),
        lambda: create_async_engine(storage, **option),
        lambda: Orm(sync, **option),
        lambda: AsyncOrm(storage, **option),
    ):
        with pytest.raises(ConfigError, match=rf"{key}: .*(refused|unknown)"):
            make()


@pytest.mark.parametrize(
    "option",
    [
        {"connect_args": {"application_name": "x"}},
        {"client_encoding": "utf8"},
        {"isolation_level": "SERIALIZABLE"},
        {"execution_options": {"isolation_level": "AUTOCOMMIT"}},
        {"execution_options": {"postgresql_readonly": True}},
        {"poolclass": object},
    ],
)
def test_options_without_meaning_in_a_unit_of_work(option: dict[str, Any]) -> None:
    for make in (
        lambda: Orm(SyncStorage(MEMBERS, CREDENTIALS), **option),
        lambda: AsyncOrm(Storage(MEMBERS, CREDENTIALS), **option),
    ):
        with pytest.raises(ConfigError, match="refused: "):
            make()


@pytest.mark.parametrize("option", [{"nonsense": 1}, {"pool_size": 3}])
def test_what_sqlalchemy_itself_does_not_know_it_says(option: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Invalid argument"):
        Orm(SyncStorage(MEMBERS, CREDENTIALS), **option)
