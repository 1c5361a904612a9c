"""Comments: a younger one without an older one is a violation of strict serializability."""

from __future__ import annotations

from support.consistency.attempts import attempts

from chaos.consistency import comments
from chaos.consistency.answer import HistoryAnswer
from chaos.findings import Verdict


def _judge(*lines: str) -> HistoryAnswer:
    return comments.judge(attempts("\n".join(lines)), level=comments.STRICT_SERIALIZABLE)


OLDER = ("0 :invoke :write 1", "0 :ok :write 1")
YOUNGER = ("0 :invoke :write 2", "0 :ok :write 2")


def test_the_younger_with_the_older_is_accepted() -> None:
    for seen in ("#{}", "#{1}", "#{1 2}", "#{1 2 99}"):
        answer = _judge("1 :invoke :read", *OLDER, *YOUNGER, f"1 :ok :read {seen}")
        assert answer.verdict is Verdict.VALID, seen


def test_the_younger_without_the_older_is_rejected() -> None:
    answer = _judge("1 :invoke :read", *OLDER, *YOUNGER, "1 :ok :read #{2}")
    assert answer.verdict is Verdict.INVALID
    assert "has 2 and lacks 1" in answer.reason


def test_comments_written_at_once_have_no_order() -> None:
    lines = ("0 :invoke :write 1", "2 :invoke :write 2", "0 :ok :write 1", "2 :ok :write 2")
    assert _judge(*lines, "1 :invoke :read", "1 :ok :read #{2}").verdict is Verdict.VALID


def test_an_older_one_in_doubt_may_be_missing() -> None:
    lines = ("0 :invoke :write 1", "0 :info :write 1", "2 :invoke :write 2", "2 :ok :write 2")
    assert _judge(*lines, "1 :invoke :read", "1 :ok :read #{2}").verdict is Verdict.VALID


def test_a_comment_that_was_tried_again_is_as_old_as_its_first_try() -> None:
    lines = ("0 :invoke :write 2", "0 :info :write 2", *OLDER, "3 :invoke :write 2")
    assert _judge(*lines, "1 :invoke :read", "1 :ok :read #{2}").verdict is Verdict.VALID
