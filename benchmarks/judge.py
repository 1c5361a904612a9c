"""How fast histories of transactions are judged: read, judged, proved; medians of five.

    python benchmarks/judge.py                          # a hundred thousand transactions
    python benchmarks/judge.py --transactions 1000000

The history is made by a serializable database that never errs, so every level is VALID and every
order has to be proved whole: the longest way. It is written in elle-cli's JSON, one operation a
line, or with ``--format edn`` in Jepsen's EDN, and read from that file. Keys change after 32
appends, 20 transactions run side by side, and a transaction has one to four micro-operations.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from chaos.consistency.append.files import read_transactions
from chaos.consistency.append.judge import ListAppendJudge
from chaos.consistency.levels import LEVELS
from chaos.findings import Verdict

APPENDS_PER_KEY = 32
KEYS_AT_ONCE = 10
AT_ONCE = 20
MICRO_OPS_MAX = 4
SHOWN = ("read-committed", "snapshot-isolation", "serializable", "strict-serializable")


def history(transactions: int, seed: int, style: str) -> Iterator[str]:
    """The lines of a history."""
    drawn = random.Random(seed)
    lists: dict[int, list[int]] = {key: [] for key in range(KEYS_AT_ONCE)}
    keys = list(lists)
    asked: dict[int, list[tuple[int, int | None]]] = {}
    started: dict[int, int] = dict.fromkeys(keys, 0)
    begun = 0
    while begun < transactions or asked:
        process = drawn.randrange(AT_ONCE)
        if process in asked:
            yield _end(process, asked.pop(process), lists, style)
        elif begun < transactions:
            begun += 1
            todo: list[tuple[int, int | None]] = []
            for _ in range(drawn.randint(1, MICRO_OPS_MAX)):
                place = drawn.randrange(KEYS_AT_ONCE)
                key = keys[place]
                if drawn.random() < 0.5:
                    todo.append((key, None))
                    continue
                started[key] += 1
                todo.append((key, started[key]))
                if started[key] == APPENDS_PER_KEY:
                    keys[place] = max(keys) + 1
                    lists[keys[place]], started[keys[place]] = [], 0
            asked[process] = todo
            yield _line("invoke", process, [(key, value, None) for key, value in todo], style)


def _end(
    process: int, todo: list[tuple[int, int | None]], lists: dict[int, list[int]], style: str
) -> str:
    """The transaction takes effect, whole, at the moment of its end."""
    done: list[tuple[int, int | None, list[int] | None]] = []
    for key, value in todo:
        if value is None:
            done.append((key, None, list(lists[key])))
        else:
            lists[key].append(value)
            done.append((key, value, None))
    return _line("ok", process, done, style)


def _line(
    kind: str, process: int, micro: list[tuple[int, int | None, list[int] | None]], style: str
) -> str:
    if style == "edn":
        parts = [
            f"[:append {key} {value}]"
            if value is not None
            else f"[:r {key} {'nil' if seen is None else '[' + ' '.join(map(str, seen)) + ']'}]"
            for key, value, seen in micro
        ]
        return f"{{:type :{kind}, :f :txn, :value [{' '.join(parts)}], :process {process}}}\n"
    parts = [
        f'["append",{key},{value}]'
        if value is not None
        else f'["r",{key},{"null" if seen is None else "[" + ",".join(map(str, seen)) + "]"}]'
        for key, value, seen in micro
    ]
    return f'{{"type":"{kind}","f":"txn","value":[{",".join(parts)}],"process":{process}}}\n'


def measure(path: Path, level: str) -> tuple[float, float, float, int]:
    """Seconds to read, to judge, and to prove; and the elements read."""
    started = time.perf_counter()
    transactions = read_transactions(path)
    read_s = time.perf_counter() - started
    started = time.perf_counter()
    answer = ListAppendJudge(transactions).judge(LEVELS[level])
    whole_s = time.perf_counter() - started
    assert answer.verdict is Verdict.VALID, answer.reason
    assert answer.proof is not None
    return read_s, whole_s - answer.proof.took_s, answer.proof.took_s, len(transactions.elements)


def shown(figures: list[float]) -> str:
    """The median, and the range."""
    return f"{statistics.median(figures):6.2f} ({min(figures):.2f} to {max(figures):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=("json", "edn"), default="json")
    parser.add_argument("--level", choices=tuple(LEVELS), action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"history.{options.format}"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(history(options.transactions, 1, options.format))
        size = path.stat().st_size / 1e6
        print(f"{options.transactions:,} transactions, {size:,.0f} MB of {options.format}")
        print(f"{'level':<22} {'read, s':>24} {'judged, s':>24} {'proved, s':>24} {'all, s':>10}")
        for level in options.level or SHOWN:
            rounds = [measure(path, level) for _ in range(options.rounds)]
            read, judged, proved = ([one[part] for one in rounds] for part in range(3))
            total = statistics.median(sum(one[:3]) for one in rounds)
            columns = "".join(f" {shown(part):>24}" for part in (read, judged, proved))
            print(f"{level:<22}{columns} {total:>10.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak {peak:.2f} GiB; {rounds[0][3]:,} elements were read")


if __name__ == "__main__":
    main()
