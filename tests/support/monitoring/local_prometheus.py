"""A real Prometheus on 127.0.0.1 that scrapes one target, gone when it is closed."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.postgres.local_postgres import free_port

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: bascule
    static_configs: [{{targets: ["{target}"]}}]
"""
NO_RULES = "groups: []\n"


class LocalPrometheus:
    """Answers queries about what it has scraped."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def query(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query; empty, too, while Prometheus does not answer yet."""
        return self._ask("query", query=query)

    def query_range(self, query: str, *, begin_s: float, end_s: float) -> list[dict[str, Any]]:
        """The result of a query over a time, second by second."""
        return self._ask("query_range", query=query, start=begin_s, end=end_s, step=1)

    def _ask(self, what: str, **parameters: object) -> list[dict[str, Any]]:
        url = f"{self._url}/api/v1/{what}?" + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                document = json.loads(answer.read())
        except OSError:
            return []
        result: list[dict[str, Any]] = document["data"]["result"]
        return result

    def value(self, query: str) -> float | None:
        """The only value of an instant query; None if there is none."""
        result = self.query(query)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None


@contextmanager
def local_prometheus(
    folder: Path, target: str, *, rules: str = NO_RULES
) -> Iterator[LocalPrometheus]:
    """Scrapes ``target`` (host:port) and evaluates ``rules`` (a rules file) every second."""
    program = shutil.which("prometheus")
    assert program is not None, "prometheus is not installed"
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(target=target))
    (folder / "rules.yml").write_text(rules)
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield LocalPrometheus(port)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
