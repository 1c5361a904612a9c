"""Measures the links between the sites while the load runs: what the topology's delays came to."""

from __future__ import annotations

import time

from chaos.drill.recorder import Recorder
from chaos.evidence.events import LinkMeasured
from cluster.raised import RaisedCluster
from cluster.substrates.base import Slowable


async def measure_wan(cluster: RaisedCluster, recorder: Recorder) -> None:
    """Write down what every link that the topology delays is like, or that it is not delayed.

    A topology whose links do nothing is not measured.

    Raises:
        ClusterError: a link could not be measured.
    """
    sites = cluster.substrate
    topology = sites.topology
    links = [link for link in topology.links if not topology.wan.between(*link).is_plain]
    if not links:
        return
    if not isinstance(sites, Slowable):
        recorder.say("this substrate has no delay between sites, whatever the topology says")
        return
    for seen in await sites.measure_links(links):
        recorder.event(
            LinkMeasured(
                t_s=time.monotonic(),
                link="-".join(seen.between),
                carrier=seen.carrier,
                asked=str(seen.asked),
                asked_ms=seen.asked.rtt_ms,
                median_ms=seen.median_ms,
                p95_ms=seen.p95_ms,
                sent=seen.sent,
                lost=seen.lost,
            )
        )
        recorder.say(f"WAN {seen}")
