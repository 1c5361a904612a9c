"""Numbers that no two workers of a drill share, without communication. Pure."""

from __future__ import annotations

from chaos.workloads.config import LoadConfig


def numbers_of(config: LoadConfig) -> tuple[int, int]:
    """The number of a site's first worker, and how many workers all sites have.

    So ``first + worker + n * step`` is the number of the ``n``-th operation of a worker, which is
    no other's.
    """
    sites = config.sites or (config.site,)
    return sites.index(config.site) * config.workers, len(sites) * config.workers
