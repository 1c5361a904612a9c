"""The command that runs the same drill again, made from the parsed options, not the typed text."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

import click

NOT_REPLAYED = frozenset({"seed", "out", "metrics", "keep", "as_json", "quiet"})
"""Options that do not change the drill: its folder, and what is shown. The seed is always written,
random or given."""


def replay_command(
    command: click.Command,
    parsed: Mapping[str, object],
    seed: int,
    built_in: Mapping[str, Collection[str]],
) -> str:
    """A line for a shell that parses to the same options in any folder.

    Args:
        command: ``bascule drill``.
        parsed: its parameters as they were parsed, by name.
        seed: the seed of the drill.
        built_in: by parameter that is a name or a file, the names of built-in ones.
    """
    options: list[str] = []
    arguments: list[str] = []
    for parameter in command.params:
        value = parsed.get(parameter.name or "")
        if parameter.name in NOT_REPLAYED or value is None:
            continue
        if isinstance(value, bool):  # a flag
            options += (parameter.opts if value else parameter.secondary_opts)[-1:]
            continue
        if isinstance(value, tuple):  # an option that may be given several times
            for one in value:
                options += _option(parameter.opts[-1], str(one))
            continue
        text = _text(value, built_in.get(parameter.name or ""))
        if isinstance(parameter, click.Argument):
            arguments.append(text)
        elif value != parameter.get_default(click.Context(command)):
            options += _option(parameter.opts[-1], text)
    options += ["--seed", str(seed)]
    # A name that begins with a dash would be taken for an option.
    is_taken = any(text.startswith("-") for text in arguments)
    first, last = ([], ["--", *arguments]) if is_taken else (arguments, [])
    return shlex.join(["bascule", command.name or "", *first, *options, *last])


def _option(name: str, text: str) -> list[str]:
    return [f"{name}={text}"] if text.startswith("-") else [name, text]


def _text(value: object, names: Collection[str] | None) -> str:
    """The value for the shell; a file as an absolute path."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    is_file = isinstance(value, Path) or (names is not None and value not in names)
    return os.path.abspath(str(value)) if is_file else str(value)
