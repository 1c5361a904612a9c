"""SVG as text: elements with escaped content. The charts draw with this and nothing else."""

from __future__ import annotations

from markupsafe import Markup, escape

Attribute = str | int | float | None


def number(value: float) -> str:
    """A coordinate with at most two decimals; a hundredth of a pixel is invisible."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def el(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """One element. Plain strings among the children are escaped, ``Markup`` is taken as it is.

    Attribute names: ``class_`` becomes ``class``, ``text_anchor`` becomes ``text-anchor``. An
    attribute that is None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    if not inner:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{inner}</{name}>")


def text(x: float, y: float, content: str, /, **attributes: Attribute) -> Markup:
    """A text with its baseline at ``y``."""
    return el("text", content, x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, /, **attributes: Attribute) -> Markup:
    """A straight line."""
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def rect(
    x: float, y: float, width: float, height: float, /, *children: str, **attributes: Attribute
) -> Markup:
    """A rectangle; a negative width or height is drawn as none."""
    return el(
        "rect",
        *children,
        x=x,
        y=y,
        width=max(width, 0.0),
        height=max(height, 0.0),
        **attributes,
    )


def cross(x: float, y: float, radius: float = 7.0) -> Markup:
    """The fault mark: a filled disc with a cross, legible without colour."""
    arm = radius * 0.45
    return el(
        "g",
        el("circle", cx=x, cy=y, r=radius),
        line(x - arm, y - arm, x + arm, y + arm),
        line(x - arm, y + arm, x + arm, y - arm),
        class_="mark-fault",
    )


def ring(x: float, y: float, radius: float = 6.0) -> Markup:
    """The heal mark: an open ring."""
    return el("circle", cx=x, cy=y, r=radius, class_="mark-heal")


def hatch(pattern_id: str, class_: str) -> Markup:
    """A pattern of slanted lines, so that colour is not the only difference."""
    return el(
        "pattern",
        rect(0, 0, 7, 7, class_=f"{class_}-ground"),
        line(0, 0, 0, 7, class_=f"{class_}-stroke"),
        id=pattern_id,
        width=7,
        height=7,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )


def chart(  # noqa: PLR0913  every one of them is an attribute of the drawing
    chart_id: str,
    width: float,
    height: float,
    /,
    *children: str,
    title: str,
    description: str,
    class_: str,
) -> Markup:
    """The whole drawing with a title and a description for readers who cannot see it."""
    return el(
        "svg",
        el("title", title, id=f"{chart_id}-title"),
        el("desc", description, id=f"{chart_id}-desc"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        id=chart_id,
        class_=class_,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_labelledby=f"{chart_id}-title {chart_id}-desc",
    )


def _text(value: str | int | float) -> str:
    return number(value) if isinstance(value, float) else str(value)
