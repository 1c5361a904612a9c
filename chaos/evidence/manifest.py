"""``manifest.json``: the SHA-256 and the size of every file of a run folder, written last.

It proves that nothing of the evidence has changed since the drill ended: no line cut, altered,
doubled or moved, no page lost by a disk, no file gone or new. It is no signature: a user who can
write the folder can write another manifest. Its own SHA-256, kept in another place, shows that it
was replaced; ``bascule drill`` prints it, and the report and ``verdict.json`` have it.

What ``bascule check`` and ``bascule report`` write again (``DERIVED``) is not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.decode import decode, encode
from chaos.errors import FormatError
from chaos.evidence.run import Manifest
from chaos.evidence.whole_file import part_of, write_whole

MANIFEST = "manifest.json"
VERDICT = "verdict.json"
REPORT = "report.html"
JUNIT = "junit.xml"
DERIVED = (VERDICT, REPORT, JUNIT)
"""Follows from the evidence, and is written anew each time that a folder is judged."""

FORMAT_VERSION = 1
"""Raised when an older reader could no longer follow."""

_NOT_LISTED = frozenset(
    name for whole in (MANIFEST, *DERIVED) for name in (whole, part_of(Path(whole)).name)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What a file held."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """The content of ``manifest.json``."""

    format_version: int
    files: Mapping[str, _Entry]


def write_manifest(folder: Path) -> str:
    """Write the manifest of a finished run folder, whole or not at all.

    Returns:
        Its own SHA-256.

    Raises:
        OSError: a file cannot be read, or the manifest not be written.
    """
    files = {name: _entry(path) for name, path in _files(folder)}
    text = _text(_Document(format_version=FORMAT_VERSION, files=files))
    write_whole(folder / MANIFEST, text)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check_manifest(folder: Path) -> Manifest | None:
    """Compare a run folder with its manifest; None if it has none.

    Nothing is raised: a file that cannot be read counts as changed.
    """
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        return Manifest(sha256="", problems=(f"{MANIFEST}: cannot be read ({error.strerror})",))
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        listed = decode(_Document, json.loads(content))
    except (ValueError, RecursionError, FormatError) as error:
        words = f"{MANIFEST}: cannot be understood ({error})"
        return Manifest(sha256=sha256, problems=(words,))
    if listed.format_version != FORMAT_VERSION:
        words = f"this version reads the format {FORMAT_VERSION}, found {listed.format_version}"
        return Manifest(sha256=sha256, problems=(f"{MANIFEST}: {words}",))
    problems = [*_differences(folder, listed.files)]
    if _text(listed).encode("utf-8") != content:  # a line that stands twice, say
        problems.insert(0, f"{MANIFEST}: was changed since it was written")
    return Manifest(sha256=sha256, files=len(listed.files), problems=tuple(problems))


def _text(document: _Document) -> str:
    """The one way in which a manifest is written."""
    return json.dumps(encode(document), indent=1) + "\n"


def _differences(folder: Path, listed: Mapping[str, _Entry]) -> Iterator[str]:
    """Everything in which the folder is not what the manifest says, by the name of the file."""
    found = dict(_files(folder))
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            yield f"{name}: is missing, the manifest has it"
        elif name not in listed:
            yield f"{name}: is new, the manifest does not have it"
        else:
            try:
                same = _entry(found[name]) == listed[name]
            except OSError as error:
                yield f"{name}: cannot be read ({error.strerror})"
                continue
            if not same:
                yield f"{name}: was changed since the manifest was written"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder with their names inside it, in an order that is always the same."""
    for base, folders, names in os.walk(folder):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(base, name))]
        for name in sorted([*names, *links]):
            path = Path(base, name)
            inside = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if inside not in _NOT_LISTED and (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                yield inside, path


def _entry(path: Path) -> _Entry:
    """What a file holds; of a link, where it leads, so that it never stands for a file."""
    if path.is_symlink():
        leads_to = b"link to " + os.fsencode(os.readlink(path))
        return _Entry(bytes=len(leads_to), sha256=hashlib.sha256(leads_to).hexdigest())
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return _Entry(bytes=file.tell(), sha256=digest.hexdigest())
