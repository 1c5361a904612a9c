"""Words, numbers and dates in both languages."""

from __future__ import annotations

import re
from datetime import date
from string import Formatter

import pytest

from chaos.checkers.registry import FINDINGS
from chaos.faults.registry import FAULTS
from chaos.paper.language import LANGUAGES, language_of

FR, EN = language_of("fr"), language_of("en")
OWN = ("fault.", "finding.")
"""English has these from the faults and the findings themselves."""


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_words_with_the_same_fields() -> None:
    shared = {key for key in FR.words if not key.startswith(OWN)}
    assert shared == set(EN.words)
    for key in shared:
        assert fields_of(FR.words[key]) == fields_of(EN.words[key]), key


@pytest.mark.parametrize("section", ["fault", "finding"])
def test_french_has_a_name_for_every_fault_and_finding_and_for_no_other(section: str) -> None:
    """Else the French paper would show the English one, and nobody would be told."""
    english = {
        "fault": {kind.key: kind.words.title for kind in FAULTS.values()},
        "finding": {kind.word: kind.heading for kind in FINDINGS},
    }[section]
    begin = f"{section}."
    french = {
        key.removeprefix(begin): words for key, words in FR.words.items() if key.startswith(begin)
    }
    assert french.keys() == english.keys()
    copied = [key for key, words in french.items() if words.lower() == english[key].lower()]
    assert copied == []


def test_french_does_not_break_before_its_marks() -> None:
    for key, text in FR.words.items():
        if key not in {"clause.between", "language.thousands"}:
            assert not re.search(r" [;:!?»]|« ", text), key


@pytest.mark.parametrize(
    ("value_s", "fr", "en"),
    [
        (0.0, "0 s", "0 s"),
        (0.0002, "1 ms", "1 ms"),
        (0.34, "340 ms", "340 ms"),
        (22.43, "22,4 s", "22.4 s"),
        (60.0, "60 s", "60 s"),
        (200.0, "3 min 20 s", "3 min 20 s"),
        (14_400.0, "4 h", "4 h"),
        (16_200.0, "4 h 30 min", "4 h 30 min"),
        (194_400.0, "2 j 6 h", "2 d 6 h"),
    ],
)
def test_durations(value_s: float, fr: str, en: str) -> None:
    assert (plain(FR.duration(value_s)), plain(EN.duration(value_s))) == (fr, en)


def test_numbers_and_their_nouns() -> None:
    assert (plain(FR.whole(15_234)), EN.whole(15_234)) == ("15 234", "15,234")
    assert FR.counted("run", 0) == "0 exercice"
    assert EN.counted("run", 0) == "0 exercises"
    assert [EN.counted("entry", n) for n in (1, 2)] == ["1 write", "2 writes"]


def test_dates() -> None:
    assert plain(FR.date(date(2026, 12, 1))) == "1er décembre 2026"
    assert plain(EN.date(date(2026, 12, 1))) == "1 December 2026"
    at = "2026-11-24T04:50:00.000+01:00"
    assert plain(FR.moment(at)) == "24 novembre 2026, 03 h 50 UTC"
    assert plain(EN.moment(at)) == "24 November 2026, 03:50 UTC"
    assert FR.moment("some day") == "some day"


def test_french_comes_first() -> None:
    assert LANGUAGES[0] == "fr"
