"""The clauses in the words of a language, each with what speaks to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.paper.answers import days_of, short, short_objective
from chaos.paper.clauses import DEVIATIONS, EXERCISES, OBJECTIVES, RESTORE_TIME, LegalText
from chaos.paper.language import Language, unbreakable
from chaos.paper.shown import Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseRow:
    """One clause, and what speaks to it."""

    number: str
    says: str
    shown: tuple[str, ...]
    beyond: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRows:
    """The clauses of one text."""

    name: str
    edition: str
    sureness: str
    standing: str
    is_doubtful: bool
    """Second-hand, or a yardstick only."""
    rows: tuple[ClauseRow, ...]


def text_rows(text: LegalText, shown: Shown, words: Language) -> TextRows:
    """A text with its clauses, and how sure its wording is."""
    is_french = words.code == "fr"
    rows = [
        ClauseRow(
            number=clause.number,
            says=unbreakable(clause.fr) if is_french else clause.en,
            shown=tuple(part for key in clause.speaks for part in _speaks(key, shown, words)),
            beyond=unbreakable(clause.beyond_fr) if is_french else clause.beyond_en,
        )
        for clause in text.clause
    ]
    return TextRows(
        name=text.name if is_french else text.name_en or text.name,
        edition=unbreakable(text.edition_fr) if is_french else text.edition_en,
        sureness=words.say(f"sureness.{text.sureness}"),
        standing=words.say(f"standing.{text.standing}"),
        is_doubtful=text.sureness != "reproduction" or text.standing != "reference",
        rows=tuple(rows),
    )


def _speaks(key: str, shown: Shown, words: Language) -> list[str]:
    """What these runs say to it, in few words."""
    if key in _IN_CLAUSES:
        names = _IN_CLAUSES[key]
        return [short_objective(one, words) for one in shown.objectives if one.key in names]
    if key == EXERCISES:
        runs = words.counted("run", len(shown.runs))
        return [words.say("clause.exercises", runs=runs, when=days_of(shown, words))]
    if key == DEVIATIONS:
        if not shown.deviations:
            return [words.say("clause.deviations_none")]
        return [words.plural("clause.deviations", shown.deviations)]
    return [short(key, shown.answers[key], words)]


_IN_CLAUSES = {OBJECTIVES: ("dmia_s", "prd_s"), RESTORE_TIME: ("dmard_s",)}
