"""Scrapes of a metrics page, and waiting for one that shows what is expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio
import httpcore
from prometheus_client.parser import text_string_to_metric_families

WAIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One page of metrics."""

    text: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the only series of ``name`` that has these labels; None if there is none."""
        found = self.values(name, **labels)
        assert len(found) <= 1, f"{name} {labels}: {found}"
        return next(iter(found), None)

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of all series of ``name`` that have these labels."""
        return [
            value
            for (sample, have), value in self.samples.items()
            if sample == name and labels.items() <= dict(have).items()
        ]


def parse(text: str) -> Scrape:
    """A page in Prometheus' text format."""
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return Scrape(text=text, samples=samples)


async def get(
    url: str, *, accept: str = "", network: httpcore.AsyncNetworkBackend | None = None
) -> tuple[int, str, str]:
    """Status, content type and body."""
    async with httpcore.AsyncConnectionPool(network_backend=network) as pool:
        response = await pool.request("GET", url, headers={"Accept": accept})
    kind = dict(response.headers).get(b"Content-Type", b"").decode()
    return response.status, kind, response.content.decode()


async def scrape(url: str, *, network: httpcore.AsyncNetworkBackend | None = None) -> Scrape:
    """``/metrics`` of the server at ``url``."""
    status, _, body = await get(f"{url}/metrics", network=network)
    assert status == 200, body
    return parse(body)


async def wait_scrape(
    url: str,
    condition: Callable[[Scrape], bool],
    *,
    what: str,
    network: httpcore.AsyncNetworkBackend | None = None,
    timeout_s: float = WAIT_S,
) -> Scrape:
    """The first scrape that fulfils ``condition``."""
    last: Scrape | None = None
    with anyio.move_on_after(timeout_s):
        while True:
            last = await scrape(url, network=network)
            if condition(last):
                return last
            await anyio.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}\n{'' if last is None else last.text}")
