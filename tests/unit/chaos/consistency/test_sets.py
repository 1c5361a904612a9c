"""Sets: lost, stale, twice, from nowhere. The cases of ``set-full`` are those of Jepsen's tests."""

from __future__ import annotations

import pytest
from support.consistency.attempts import attempts

from chaos.consistency import sets
from chaos.consistency.answer import HistoryAnswer
from chaos.findings import Verdict

A, A_OK = "0 :invoke :add 0", "0 :ok :add 0"
R, HAS, LACKS = "1 :invoke :read", "1 :ok :read #{0}", "1 :ok :read #{}"


def _full(*lines: str, level: str = sets.EVENTUAL) -> HistoryAnswer:
    return sets.judge_all_reads(attempts("\n".join(lines)), level=level)


def _last(*lines: str) -> HistoryAnswer:
    return sets.judge_last_read(attempts("\n".join(lines)), level=sets.EVENTUAL)


def _names(answer: HistoryAnswer) -> list[str]:
    return [anomaly.name for anomaly in answer.anomalies]


@pytest.mark.parametrize(
    "lines",
    [(R, A, HAS, A_OK), (R, A, A_OK, HAS), (A, R, HAS, A_OK), (A, R, A_OK, HAS), (A, A_OK, R, HAS)],
)
def test_what_a_read_has_is_there_to_stay(lines: tuple[str, ...]) -> None:
    answer = _full(*lines)
    assert answer.verdict is Verdict.VALID
    assert answer.counts["stable"] == 1


@pytest.mark.parametrize("lines", [(R, A, LACKS, A_OK), (R, A, A_OK, LACKS), (A, R, A_OK, LACKS)])
def test_a_read_beside_the_addition_says_nothing(lines: tuple[str, ...]) -> None:
    answer = _full(*lines)
    assert answer.verdict is Verdict.UNKNOWN
    assert answer.counts["never read"] == 1


def test_never_read_and_never_known_are_unknown() -> None:
    assert _full(A, A_OK).verdict is Verdict.UNKNOWN
    assert _full(A, R, LACKS).verdict is Verdict.UNKNOWN


def test_a_read_after_the_addition_that_lacks_it_is_a_loss() -> None:
    answer = _full(A, A_OK, R, LACKS)
    assert _names(answer) == ["lost"]
    assert "added by the add by process 0 (line 1, to 2)" in answer.anomalies[0].sentences[1]


def test_there_and_then_gone_is_a_loss() -> None:
    """Jepsen's "write, present, missing": both elements vanish one after the other."""
    answer = _full(
        "0 :invoke :add 0",
        "1 :invoke :add 1",
        *("2 :invoke :read", "2 :ok :read #{1}", "0 :ok :add 0", "1 :ok :add 1"),
        *("2 :invoke :read", "2 :ok :read #{0 1}"),
        *("2 :invoke :read", "2 :ok :read #{0}"),
        *("2 :invoke :read", "2 :ok :read #{}"),
    )
    assert answer.counts["lost"] == 2


FLUTTER = (
    *("0 :invoke :add 0", "0 :ok :add 0", "1 :invoke :add 1", "2 :invoke :read"),
    *("2 :ok :read #{1}", "1 :ok :add 1", "2 :invoke :read", "3 :invoke :read"),
    *("3 :ok :read #{1}", "2 :ok :read #{0}"),
)


def test_flutter() -> None:
    """Jepsen's "write, flutter, stable/lost": 0 is lost, 1 is stale."""
    answer = _full(*FLUTTER)
    assert (answer.counts["lost"], answer.counts["stale"], answer.counts["stable"]) == (1, 1, 1)
    assert _names(answer) == ["lost"]


STALE = (A, A_OK, R, LACKS, R, HAS)


def test_stale_is_told_and_only_the_stronger_level_forbids_it() -> None:
    answer = _full(*STALE)
    assert answer.verdict is Verdict.VALID
    assert answer.notes == ("1 element came late: the level permits it.",)
    assert _names(_full(*STALE, level=sets.LINEARIZABLE)) == ["stale-read"]


def test_an_element_that_stands_twice_is_a_duplicate() -> None:
    """Jepsen's checker asks for a multiplicity below one, and cannot report it."""
    assert _names(_full(A, A_OK, R, "1 :ok :read [0 0]")) == ["duplicate"]
    assert _names(_last(A, A_OK, R, "1 :ok :read [0 0]")) == ["duplicate"]


def test_an_element_from_nowhere_is_a_phantom() -> None:
    assert _names(_full(A, A_OK, R, "1 :ok :read [0 5]")) == ["phantom"]
    assert _names(_full(R, "1 :ok :read [0]", A, A_OK)) == ["phantom"]


def test_the_last_read_decides() -> None:
    """Jepsen's own case of ``set``: 1 is lost, 30 comes from nowhere; 10 and 20 may be there."""
    lines = [
        f"{process} :{kind} :add {element}"
        for process, end, elements in (
            (0, "ok", (0, 1)),
            (1, "info", (10, 11)),
            (2, "fail", (20, 21)),
        )
        for element in elements
        for kind in ("invoke", end)
    ]
    answer = _last(*lines, "4 :invoke :read", "4 :ok :read #{0 10 20 30}")
    assert _names(answer) == ["lost", "phantom"]
    assert [proof["element"] for anomaly in answer.anomalies for proof in anomaly.evidence] == [
        "1",
        "30",
    ]
    assert "the addition had failed" in answer.notes[0]


def test_a_set_that_was_never_read_is_unknown() -> None:
    assert _last(A, A_OK).verdict is Verdict.UNKNOWN


def test_keys_on_one_side_only_are_unknown() -> None:
    """As in elle-cli's ``set_full.edn``: with the keys all is lost, without them nothing is."""
    answer = _full("0 :invoke :add [0 7]", "0 :ok :add [0 7]", R, "1 :ok :read [7]")
    assert answer.verdict is Verdict.UNKNOWN
    assert "pairs of a key and an element" in answer.reason


def test_an_element_that_was_tried_again_is_no_phantom() -> None:
    lines = (
        "0 :invoke :add 1",
        "0 :info :add 1",
        "1 :invoke :read",
        "1 :ok :read #{1}",
        "2 :invoke :add 1",
        "2 :ok :add 1",
    )
    for answer in (_full(*lines), _last(*lines)):
        assert answer.verdict is Verdict.VALID, answer.reason


def test_an_addition_that_failed_and_was_tried_again_is_not_noted() -> None:
    lines = ("0 :invoke :add 0", "0 :fail :add 0", A, A_OK, R, HAS)
    assert _full(*lines).notes == _last(*lines).notes == ()
    lines = ("0 :invoke :add 0", "0 :fail :add 0", R, HAS)
    for answer in (_full(*lines), _last(*lines)):
        assert "though the addition had failed" in answer.notes[0]
