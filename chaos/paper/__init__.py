"""The paper that an auditor files: what some runs have shown, beside the clauses that ask for it.

It is composed of the evidence of its runs alone, and of the values that the hospital asked for. It
says what was shown, never that anything conforms.
"""

from __future__ import annotations

from chaos.paper.asked import Asked, overridden, read_asked
from chaos.paper.collect import collect
from chaos.paper.html import render_paper
from chaos.paper.language import LANGUAGES, language_of
from chaos.paper.numbers import paper_json
from chaos.paper.page import compose_paper

__all__ = [
    "LANGUAGES",
    "Asked",
    "collect",
    "compose_paper",
    "language_of",
    "overridden",
    "paper_json",
    "read_asked",
    "render_paper",
]
