"""The paper as one self-contained HTML file that prints on A4."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from chaos.paper.language import Language
from chaos.paper.page import PaperPage


def render_paper(page: PaperPage, words: Language) -> str:
    """The text of the file; the same page gives the same bytes."""
    values = {item.name: getattr(page, item.name) for item in fields(page)}
    return _template().render(values, w=words.words, style=_style())


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("chaos", "paper"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("paper.html.j2")


@cache
def _style() -> Markup:
    """The style sheet, ours and without ``<``, so that it can stand in the page as it is."""
    return Markup(resources.files("chaos.paper").joinpath("paper.css").read_text("utf-8"))
