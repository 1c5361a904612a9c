"""Jepsen's log lines by Porcupine's conventions."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.consistency.foreign.jepsen_log import calls_of_log, is_log, read_log
from chaos.consistency.objects import Register
from chaos.consistency.registers import judge
from chaos.findings import Verdict

LOG = """\
INFO  jepsen.core - Starting workers
INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:ok\t:write\t1
INFO  jepsen.util - 1   :invoke :cas    [3 4]
INFO  jepsen.util - 1   :fail   :cas    [3 4]
INFO  jepsen.util - 2\t:invoke\t:read\tnil
INFO  jepsen.util - 2\t:fail\t:read\t:timed-out
INFO  jepsen.util - 3\t:invoke\t:write\t2
INFO  jepsen.util - 3\t:info\t:write\t:timed-out
INFO  jepsen.util - 4\t:invoke\t:read\tnil
INFO  jepsen.util - 4\t:ok\t:read\t2
INFO  jepsen.util - :nemesis\t:info\t:start\tnil
"""


def test_a_failed_compare_and_set_missed_and_a_failed_read_saw_nothing() -> None:
    calls = calls_of_log(LOG.splitlines())
    assert [(call.f, call.value, call.line, call.end_line) for call in calls] == [
        ("write", 1, 2, 3),
        ("cas-missed", (3, 4), 4, 5),
        ("write", 2, 8, 0),
        ("read", 2, 10, 11),
    ]
    assert calls[2].is_open


@pytest.mark.parametrize(
    ("last", "verdict"),
    [("2", Verdict.VALID), ("1", Verdict.VALID), ("nil", Verdict.INVALID), ("7", Verdict.INVALID)],
)
def test_a_read_of_nil_saw_the_empty_register(last: str, verdict: Verdict) -> None:
    calls = calls_of_log(LOG.replace(":ok\t:read\t2", f":ok\t:read\t{last}").splitlines())
    assert judge(calls, Register, model="register").verdict is verdict


def test_a_compare_and_set_that_must_have_matched_is_rejected() -> None:
    calls = calls_of_log(LOG.replace("[3 4]", "[1 4]").splitlines())
    assert judge(calls, Register, model="register").verdict is Verdict.INVALID


def test_a_file_of_such_lines_is_known(tmp_path: Path) -> None:
    log, other = tmp_path / "etcd.log", tmp_path / "etcd.edn"
    log.write_text(LOG)
    other.write_text("{:process 0, :type :invoke, :f :read}")
    assert is_log(log)
    assert not is_log(other)
    assert len(read_log(log)) == 4
