"""Writes the tables of docs/reference/verdicts.md: exit codes, verdicts, checkers, findings.

``python scripts/verdicts_page.py`` writes them, ``--check`` says whether they are fresh. The
meanings of codes and verdicts are the docstrings of the constants; the text around the tables is
written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import griffe
from page_tables import write_or_check

from chaos.checkers.registry import CHECKERS, FINDINGS
from chaos.findings import Verdict
from chaos.judge import exit_codes
from chaos.judge.exit_codes import of_verdict

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "verdicts.md"


def meanings(module: str, path: str = "") -> dict[str, str]:
    """Constant to docstring, of a module or of a class in it, in their order."""
    found = griffe.load(module, search_paths=[ROOT])
    members = (found[path] if path else found).members
    return {
        name: " ".join(member.docstring.value.split()).replace("``", "`")
        for name, member in members.items()
        if name.isupper() and member.docstring is not None
    }


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join((first, re.sub(r"[^|]+", "---", first), *others))


def tables() -> dict[str, str]:
    """Name to table."""
    verdicts = meanings("chaos.findings", "Verdict")
    return {
        "codes": table(
            ("code", "meaning"),
            (
                (f"`{getattr(exit_codes, name)}`", words)
                for name, words in meanings("chaos.judge.exit_codes").items()
            ),
        ),
        "verdicts": table(
            ("verdict", "meaning", "exit code"),
            ((f"`{one.word}`", verdicts[one.name], f"`{of_verdict(one)}`") for one in Verdict),
        ),
        "checkers": table(
            ("checker", "says", "workloads", "can find"),
            (
                (
                    f"`{checker.name}`",
                    checker.question,
                    ", ".join(f"`{kind}`" for kind in checker.workloads) or "all",
                    ", ".join(f"`{kind}`" for kind in checker.finds),
                )
                for checker in CHECKERS
            ),
        ),
        "findings": table(
            ("finding", "heading in the report", "verdict and when"),
            ((f"`{kind}`", kind.heading, kind.meaning.replace("``", "`")) for kind in FINDINGS),
        ),
    }


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, tables()))
