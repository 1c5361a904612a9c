"""The lines of a watch in etcd's JSON gateway: every change is told, everything else is safe."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.primary.etcd_gateway import (
    PERMISSION_DENIED,
    SHOWN_CHARACTERS_MAX,
    UNAUTHENTICATED,
    EtcdRefused,
    Told,
    read_line,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["result", "error", "events", "kv", "value", "type", "created", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def line(**result: object) -> bytes:
    return json.dumps({"result": {"header": {"revision": "7"}, **result}}).encode()


def put(value: str) -> dict[str, object]:
    return {"kv": {"key": "a2V5", "value": base64.b64encode(value.encode()).decode()}}


def test_what_is_told() -> None:
    assert read_line(line(created=True)) == Told(is_created=True)
    events = [put("db-paris"), {"type": "DELETE", "kv": {"key": "a2V5"}}, put("db-orsay")]
    assert read_line(line(events=events)).values == ("db-paris", None, "db-orsay")
    assert read_line(line(events=[put("")])).values == ("",)


def test_what_cannot_be_read_hides_nothing_else() -> None:
    broken = {"kv": {"value": "%%%"}}
    assert read_line(line(events=[put("a"), broken, {}, None, put("b")])).values == ("a", "b")


@pytest.mark.parametrize(
    ("reason", "words", "code"),
    [
        (
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
            "etcdserver: permission denied",
            PERMISSION_DENIED,
        ),
        (
            "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
            "etcdserver: invalid auth token",
            UNAUTHENTICATED,
        ),
        ("etcdserver: mvcc: required revision\nhas been compacted", "revision has been", None),
        ("", "no reason was given", None),
        ("x" * 1000, "x" * SHOWN_CHARACTERS_MAX + "…", None),
    ],
)
def test_a_watch_that_was_cancelled(reason: str, words: str, code: int | None) -> None:
    """As etcd 3.4 and 3.5 say it: created and cancelled in one line, with the status 200."""
    with pytest.raises(EtcdRefused) as refused:
        read_line(line(created=True, canceled=True, watch_id="-1", cancel_reason=reason))
    assert words in str(refused.value)
    assert refused.value.code == code


@given(JSON | st.binary(max_size=40))
def test_whatever_is_sent_is_told_or_refused(said: object) -> None:
    words = ""
    try:
        read_line(said if isinstance(said, bytes) else json.dumps(said).encode())
    except EtcdRefused as refused:
        words = str(refused)
    assert len(words) < 2 * SHOWN_CHARACTERS_MAX
