"""``bascule judge``: is somebody's history consistent, whoever wrote it?"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from chaos.cli.enter import lab_pid
from chaos.cli.files import refuse_existing, write_new
from chaos.cli.verdict_text import STYLES
from chaos.evidence.folder import read_run, read_run_json
from chaos.judge.exit_codes import of_verdict
from chaos.wording import counted
from chaos.workloads.answers import judged
from chaos.workloads.kind import WorkloadKind
from chaos.workloads.registry import WORKLOADS

if TYPE_CHECKING:
    from chaos.consistency.answer import Anomaly, HistoryAnswer
    from chaos.consistency.models import HistoryModel
    from chaos.evidence.records import Scalar


@click.command("judge")
@click.argument("file", metavar="FILE|RUN", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--as",
    "model_name",
    metavar="MODEL",
    help="What the history is of. [default of a run folder: what its workload is]",
)
@click.option("--level", "level_name", metavar="LEVEL", help="The level that must hold.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.option(
    "--proof", type=click.Path(path_type=Path), help="Write the order that proves VALID here."
)
def judge(
    *, file: Path, model_name: str | None, level_name: str | None, as_json: bool, proof: Path | None
) -> None:
    """Judge a history that a test of any database has written, or that of a drill.

    FILE is in the notation of Jepsen, Elle, Knossos, elle-cli or Porcupine; RUN is the run folder
    of a drill whose workload can be judged. MODEL and LEVEL are listed in docs/use/judge.md; a
    wrong one is answered with those there are.

    VALID comes with its proof: for transactions, registers, locks and texts an order that explains
    the history, held against it by a second function; for the other models what was compared.
    INVALID comes with the contradiction found, in sentences. The exit code is 0 VALID, 1 INVALID,
    4 UNKNOWN (the reason says what could not be decided), 2 if the file is no such history.
    """
    workload = None if file.is_file() else _workload_of(file)
    if workload is not None and model_name is None:
        model_name = workload.judged_as
    if model_name is None:
        raise click.UsageError("say what the history is of: --as MODEL (docs/use/judge.md)")
    model = _find_model(model_name)
    if workload is not None and model.name != workload.judged_as:
        raise click.BadParameter(
            f"a run of the workload {workload.key} is judged as {workload.judged_as}; leave it out",
            param_hint="--as",
        )
    level = None if workload and level_name is None else _find_level(model, level_name)
    if proof is not None:
        _refuse_unproved(model)
        refuse_existing(proof)
    if workload is None:
        answer = model.load()(file, level or model.default_level)
    else:
        answer = judged(read_run(file, is_over=lab_pid(file) is None), workload, level)
    if as_json:
        print(json.dumps(answer.to_json(), indent=2, ensure_ascii=False, default=str))
    else:
        _print(answer)
    if proof is not None and answer.proof is not None:
        write_new(proof, "".join(f"{step}\n" for step in answer.proof.order))
    sys.exit(of_verdict(answer.verdict))


def _workload_of(folder: Path) -> WorkloadKind:
    """The workload of a run folder, if its history can be judged.

    Raises:
        RunFolderError: it is no run folder.
    """
    kind = WORKLOADS[read_run_json(folder).scenario.workload.kind]
    if kind.judge:
        return kind
    judged = [one.key for one in WORKLOADS.values() if one.judge]
    raise click.BadParameter(
        f"the workload of {folder} is {kind.key}, whose history is judged by bascule check alone;"
        f" this judges {', '.join(judged)}",
        param_hint="RUN",
    )


def _find_model(name: str) -> HistoryModel:
    from chaos.consistency.models import MODELS  # noqa: PLC0415 - it needs numpy, no other does

    if name in MODELS:
        return MODELS[name]
    raise click.BadParameter(
        f"there is no model {name!r}{_nearest(name, MODELS)}; there are {', '.join(MODELS)}",
        param_hint="--as",
    )


def _find_level(model: HistoryModel, name: str | None) -> str:
    if name is None:
        return model.default_level
    level = model.find_level(name)
    if level is not None:
        return level
    raise click.BadParameter(
        f"{model.name} has no level {name!r}{_nearest(name, model.levels)};"
        f" it has {', '.join(model.levels)}",
        param_hint="--level",
    )


def _refuse_unproved(model: HistoryModel) -> None:
    if not model.is_proved_by_an_order:
        raise click.BadParameter(
            f"{model.name} is judged without an order: there is none to write",
            param_hint="--proof",
        )


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _print(answer: HistoryAnswer) -> None:
    out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    word = f" {answer.verdict.name} "
    said = f"{answer.model} at {answer.level}: {answer.reason}"
    out.print(Text.assemble((word, STYLES[answer.verdict]), "  ", (said, "bold")))
    for line in _lines(answer):
        out.print(Text(line))


def _lines(answer: HistoryAnswer) -> Iterator[str]:
    for anomaly in answer.anomalies:
        yield ""
        yield from _anomaly_lines(anomaly)
    if answer.proof is not None:
        yield ""
        yield f"  proof     {answer.proof.method}"
        yield f"            {counted(answer.proof.checked, 'read')} compared."
    if answer.counts:
        counts = ", ".join(f"{number:,} {what}" for what, number in answer.counts.items())
        yield f"  judged    {counts}"
    for note in answer.notes:
        yield f"  note      {note}"


def _anomaly_lines(anomaly: Anomaly) -> Iterator[str]:
    more = f", the smallest of {anomaly.count:,}" if anomaly.count > 1 else ""
    yield f"  {anomaly.name}{more}"
    yield from (f"    {_where(one)}" for one in anomaly.evidence)
    yield from (f"    {sentence}" for sentence in anomaly.sentences)
    if anomaly.drawn:
        yield f"    {anomaly.drawn}"


def _where(evidence: Mapping[str, Scalar]) -> str:
    """One transaction or operation: who, where in the file, and what it did."""
    rest = dict(evidence)
    name, did = rest.pop("transaction", None), rest.pop("did", None)
    places = {
        word: [str(rest.pop(key)) for key in (f"began_{word}", f"ended_{word}") if key in rest]
        for word in ("line", "operation")
    }
    said = [
        f"{key} {value}" for key, value in rest.items() if not key.startswith(("began", "ended"))
    ]
    for word, some in places.items():
        if some:
            said.append(f"{word}{'s' if len(some) > 1 else ''} {' to '.join(some)}")
    told = ", ".join(said)
    return "".join([f"{name}: " if name else "", f"{did} ({told})" if did else told])
