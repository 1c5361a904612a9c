"""The clauses as data: whole, honest about how they were read, and spoken to by what there is."""

from __future__ import annotations

from collections import Counter

from chaos.paper.clauses import DEVIATIONS, EXERCISES, OBJECTIVES, RESTORE_TIME, legal_texts
from chaos.paper.subjects import SUBJECTS

CLAUSES = [(text, clause) for text in legal_texts() for clause in text.clause]


def test_every_clause_is_spoken_to_by_something_that_there_is() -> None:
    known = {subject.key for subject in SUBJECTS} | {
        OBJECTIVES,
        RESTORE_TIME,
        EXERCISES,
        DEVIATIONS,
    }
    for text, clause in CLAUSES:
        assert clause.speaks, (text.name, clause.number)
        assert set(clause.speaks) <= known, (text.name, clause.number)


def test_every_clause_stands_once() -> None:
    assert max(Counter((text.name, clause.number) for text, clause in CLAUSES).values()) == 1


def test_how_sure_we_are_of_each_text() -> None:
    """The CNIL's text could not be read; the EU's two do not address hospitals."""
    said = {text.name.split(",")[0]: (text.sureness, text.standing) for text in legal_texts()}
    assert said == {
        "ReCyF": ("reproduction", "reference"),
        "CaRE D2": ("reproduction", "reference"),
        "PGSSI-S": ("reproduction", "reference"),
        "CNIL": ("second-hand", "reference"),
        "NIS 2": ("reproduction", "yardstick"),
        "DORA": ("reproduction", "yardstick"),
    }


def test_nothing_is_quoted_of_a_text_that_nobody_read() -> None:
    for text, clause in CLAUSES:
        assert clause.fr.count("«") == clause.fr.count("»")
        if text.sureness == "second-hand" or text.standing == "yardstick":
            assert "«" not in clause.fr, clause.number


def test_a_reference_says_what_is_left_to_be_shown() -> None:
    for text, clause in CLAUSES:
        is_reference = text.standing == "reference"
        assert bool(clause.beyond_fr) is bool(clause.beyond_en) is is_reference, clause.number
