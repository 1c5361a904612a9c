"""The run folder (docs/reference/run-folder.md): read whole to a ``Run``, and its small writers.

Reading is tolerant where a kill may cut evidence short (that goes to ``Run.damage``, and the
checkers answer UNKNOWN) and strict for ``run.json``, without which nothing can be judged.
"""

from __future__ import annotations

import json
from pathlib import Path

from chaos.decode import decode, encode
from chaos.errors import DamagedRunError, FormatError, NotARunFolderError
from chaos.evidence.access import read_access_evidence
from chaos.evidence.events import EVENTS, read_events
from chaos.evidence.final_reads import read_final_reads
from chaos.evidence.history import read_direct, read_histories
from chaos.evidence.manifest import MANIFEST, check_manifest
from chaos.evidence.reads import read_all_reads
from chaos.evidence.rebuilds import read_rebuilds
from chaos.evidence.restores import read_restores
from chaos.evidence.run import Run, RunInfo
from chaos.evidence.scenario_json import READERS, WRITERS
from chaos.evidence.whole_file import write_whole

FORMAT_VERSION = 3
"""Of ``run.json`` and the files beside it, as they are written. 2: the scenario has a workload and
may leave the durability to the topology, events have numbers, final reads may have state. 3: there
is a manifest, lines of histories have numbers, two operations may share a unit of work."""

READABLE_VERSIONS = (1, 2, 3)
"""What is missing in an older format has a default that says what was so then."""

MANIFEST_SINCE = 3
"""The first format whose folders have a manifest."""

RUN_JSON = "run.json"


def read_run(folder: Path, *, is_over: bool = True) -> Run:
    """All the evidence of a run folder.

    Args:
        folder: The run folder.
        is_over: No process writes it any more: it must have its manifest.

    Raises:
        NotARunFolderError: it does not exist, or it has no ``run.json``.
        DamagedRunError: ``run.json`` cannot be understood; with the key.
    """
    version, info = _read_run_json(folder)
    damage: list[str] = []
    manifest = check_manifest(folder) if is_over else None
    if manifest is not None:
        damage += manifest.problems
    elif is_over and version >= MANIFEST_SINCE:
        damage.append(
            f"{MANIFEST}: is missing, so nobody can tell what has changed since the drill"
        )
    return Run(
        info=info,
        events=read_events(folder / EVENTS, damage),
        histories=read_histories(folder, damage),
        direct=read_direct(folder, damage),
        final_reads=read_final_reads(folder, damage),
        reads=read_all_reads(folder, damage),
        access=read_access_evidence(folder, damage),
        restores=read_restores(folder, damage),
        rebuilds=read_rebuilds(folder, damage),
        damage=tuple(damage),
        manifest=manifest,
    )


def read_run_json(folder: Path) -> RunInfo:
    """What was asked. Raises like ``read_run``."""
    return _read_run_json(folder)[1]


def _read_run_json(folder: Path) -> tuple[int, RunInfo]:
    """The version of the format, and what was asked."""
    path = folder / RUN_JSON
    if not path.is_file():
        raise NotARunFolderError(f"{folder} is no run folder: it has no {RUN_JSON}", folder=folder)
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedRunError(str(error), folder=folder, file=RUN_JSON, key="") from error
    if not isinstance(value, dict):
        raise DamagedRunError("expected an object", folder=folder, file=RUN_JSON, key="")
    version = value.pop("format_version", None)
    if version not in READABLE_VERSIONS:
        known = ", ".join(map(str, READABLE_VERSIONS))
        raise DamagedRunError(
            f"this version reads the formats {known}, found {version}",
            folder=folder,
            file=RUN_JSON,
            key="format_version",
        )
    try:
        return version, decode(RunInfo, value, readers=READERS)
    except FormatError as error:
        raise DamagedRunError(error.reason, folder=folder, file=RUN_JSON, key=error.key) from error


def write_run_json(folder: Path, info: RunInfo) -> None:
    """Writes ``run.json`` into ``folder``, whole or not at all."""
    encoded = encode(info, WRITERS)
    assert isinstance(encoded, dict)  # a dataclass always encodes as one
    _write_json(folder / RUN_JSON, {"format_version": FORMAT_VERSION, **encoded})


def _write_json(path: Path, value: object) -> None:
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
