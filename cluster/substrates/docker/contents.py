"""What goes into an image, as a digest: the Dockerfile, and every file that its stages copy.

It is part of the image's name, so that on one engine checkouts that differ use separate images, and
equal ones share them.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCKERFILE = Path("docker") / "Dockerfile"
DIGEST_DIGITS = 12
FROM_LOCKS = "docker/wheel[s]"
"""Wheels are made of the locks (scripts/docker-wheels.sh), which count; they have 200 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStage:
    """What a stage of a Dockerfile is made of."""

    stages: frozenset[str]
    """Other stages: the one it begins with, and those that it copies from."""
    sources: frozenset[str]
    """Paths of the build's context."""


def digest_of(context: Path, target: str) -> str:
    """Of everything that goes into the image ``target`` of a checkout.

    Raises:
        KeyError: the Dockerfile has no such stage.
        OSError: a file cannot be read.
    """
    dockerfile = (context / DOCKERFILE).read_text(encoding="utf-8")
    found = hashlib.sha256()
    for path in sorted(_files(context, sources_of(parse_stages(dockerfile), target))):
        content = (context / path).read_bytes()
        found.update(f"{path}\0{len(content)}\0".encode())
        found.update(content)
    found.update(dockerfile.encode())
    return found.hexdigest()[:DIGEST_DIGITS]


def parse_stages(dockerfile: str) -> dict[str, BuildStage]:
    """The stages of a Dockerfile by their names. Pure."""
    stages: dict[str, BuildStage] = {}
    name = ""
    for words in _instructions(dockerfile):
        match words:
            case ["FROM", base, "AS", name]:
                stages[name] = BuildStage(stages=frozenset({base}), sources=frozenset())
            case ["COPY" | "ADD", *rest] if name:
                others = [word.removeprefix("--from=") for word in rest if "--from=" in word]
                paths = [word for word in rest if not word.startswith("--")][:-1]
                now = stages[name]
                stages[name] = BuildStage(
                    stages=now.stages | set(others),
                    sources=now.sources if others else now.sources | set(paths),
                )
    return stages


def sources_of(stages: Mapping[str, BuildStage], target: str) -> frozenset[str]:
    """The paths that go into a stage, and into all that it is made of. Pure."""
    own = stages[target]
    below = [sources_of(stages, name) for name in own.stages if name in stages]
    return own.sources.union(*below)


def _instructions(dockerfile: str) -> Iterator[list[str]]:
    lines = (line for line in dockerfile.splitlines() if not line.lstrip().startswith("#"))
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.startswith(("FROM ", "COPY ", "ADD ")):
            yield shlex.split(line)


def _files(context: Path, sources: frozenset[str]) -> Iterator[str]:
    """The files below the sources, as ``.dockerignore`` lets them in."""
    for source in sources - {FROM_LOCKS}:
        for top in context.glob(source):
            for path in [top, *top.rglob("*")] if top.is_dir() else [top]:
                if path.is_file() and "__pycache__" not in path.parts:
                    yield path.relative_to(context).as_posix()
