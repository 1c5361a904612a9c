"""What a look at the processes of a container prints, read again."""

from __future__ import annotations

import pytest

from cluster.errors import EngineError
from cluster.substrates.docker.process_faults import parse


def test_a_look_is_read() -> None:
    text = "7 1 SSS 12000 python /opt/patroni/daemon.py \n40 1 T 500 postgres: a  b\n41 40 TTR 1 \n"
    text += "42 40 Z 0 \n43 40 TZT 9 x\n"
    patroni, stopped, one_thread, ended, half_ended = parse(text)
    assert (patroni.pid, patroni.parent, patroni.state) == (7, 1, "S")
    assert patroni.command == "python /opt/patroni/daemon.py"
    assert patroni.resident_kb == 48000
    assert (stopped.state, stopped.command) == ("T", "postgres: a  b")
    # A process is stopped only when all of its threads are.
    assert (one_thread.state, one_thread.command) == ("R", "")
    assert (ended.state, half_ended.state) == ("Z", "T")
    assert parse("") == ()


def test_anything_else_is_refused() -> None:
    with pytest.raises(EngineError, match="printed 'sh: tr: not found'"):
        parse("sh: tr: not found\n")
