"""SIGTERM ends an experiment also where chaoslib or the standard library would swallow it."""

from __future__ import annotations

import io
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from chaoslib.exit import exit_signals
from chaoslib.experiment import run_experiment

from chaos.toolkit.activity import activity
from chaos.toolkit.sigterm import sure_end

BETWEEN = "Action: second"
DONE: list[str] = []


@activity
def note(word: str) -> str:
    """An activity of ours."""
    DONE.append(word)
    return word


class Terminating(io.StringIO):
    """What a log is written to; whoever reads a certain line there sends SIGTERM at once, while
    ``logging`` is still at it."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if BETWEEN in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return written


@pytest.fixture
def log() -> Iterator[Terminating]:
    """chaoslib's, as long as the test lasts."""
    stream = Terminating()
    handler = logging.StreamHandler(stream)
    chaoslib = logging.getLogger("chaostoolkit")
    level = chaoslib.level
    chaoslib.setLevel(logging.INFO)
    chaoslib.addHandler(handler)
    yield stream
    chaoslib.removeHandler(handler)
    chaoslib.setLevel(level)
    DONE.clear()


def experiment_of(*words: str) -> dict[str, Any]:
    return {
        "title": "of a test",
        "description": "of a test",
        "method": [
            {
                "type": "action",
                "name": word,
                "provider": {
                    "type": "python",
                    "module": __name__,
                    "func": "note",
                    "arguments": {"word": word},
                },
            }
            for word in words
        ],
        "rollbacks": [],
    }


def test_a_line_of_the_log_does_not_swallow_it(
    log: Terminating, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    journal = run_experiment(experiment_of("first", "second", "third"))
    assert BETWEEN in log.getvalue()
    assert journal["status"] == "interrupted"
    assert DONE == ["first"]
    assert "Logging error" not in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_nothing_is_replaced_where_no_experiment_runs() -> None:
    before = signal.getsignal(signal.SIGTERM)
    sure_end.begin()
    assert signal.getsignal(signal.SIGTERM) == before
    with exit_signals():
        theirs = signal.getsignal(signal.SIGTERM)
        sure_end.begin()
        sure_end.begin()
        assert signal.getsignal(signal.SIGTERM) != theirs
        sure_end.over()
        assert signal.getsignal(signal.SIGTERM) == theirs
    assert signal.getsignal(signal.SIGTERM) == before
