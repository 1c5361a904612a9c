"""Looks at a cluster for ``fitness``: etcd's members, the keys, every member's Patroni."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import anyio

from replication.patroni.client import UNANSWERED, Http
from replication.witness.config import WitnessConfig
from replication.witness.etcd import EtcdClient, EtcdUnanswered, ssl_context_of
from replication.witness.fitness import EtcdSeen, Examined, PatroniSeen
from replication.witness.keys import KeyNames, key_range, read_pairs

DEADLINE_S = 3.0
"""For one answer: nobody is in a hurry here."""


async def examine(config: WitnessConfig) -> Examined:
    """What can be seen of the cluster from here; nothing is written.

    Raises:
        ConfigError: a file for TLS cannot be used.
    """
    etcd_http = Http(ssl_context_of(config.dcs))
    rest_http = Http(config.rest_ssl_context())
    client = EtcdClient(config.dcs)
    etcd: dict[str, EtcdSeen] = {}
    patroni: dict[str, PatroniSeen] = {}

    async def ask_etcd(endpoint: str) -> None:
        version, took_s, error = await _ask(etcd_http, f"{endpoint.rstrip('/')}/version")
        etcd[endpoint] = EtcdSeen(
            endpoint=endpoint,
            version=_text(version.get("etcdserver")),
            round_trip_s=took_s,
            error=error,
        )

    async def ask_patroni(name: str, url: str | None) -> None:
        if url is None:
            patroni[name] = PatroniSeen(name=name, error="its key names no address")
            return
        said, took_s, error = await _ask(rest_http, f"{url}/patroni")
        own = said.get("patroni")
        version = own.get("version") if isinstance(own, dict) else None
        patroni[name] = PatroniSeen(
            name=name, version=_text(version), round_trip_s=took_s, error=error
        )

    reading, unread, dynamic = None, "", {}
    names = KeyNames(config.dcs)
    try:
        async with anyio.create_task_group() as questions:
            for endpoint in config.dcs.endpoints:
                questions.start_soon(ask_etcd, endpoint)
        try:
            prefixes = [{"request_range": key_range(one)} for one in (names.patroni, names.own)]
            answer = await client.ask_all("/kv/txn", {"success": prefixes}, deadline_s=DEADLINE_S)
            found = read_pairs(
                pair
                for one in answer.get("responses", [])
                for pair in one.get("response_range", {}).get("kvs", [])
            )
            reading = names.read(found, read_s=time.monotonic())
            config_key = f"{names.patroni}config"
            dynamic = _object(next((one.value for one in found if one.key == config_key), ""))
        except EtcdUnanswered as error:
            unread = str(error)
        async with anyio.create_task_group() as questions:
            for name, member in reading.members.items() if reading else ():
                questions.start_soon(ask_patroni, name, member.rest_url)
    finally:
        await client.aclose()
        await etcd_http.aclose()
        await rest_http.aclose()
    return Examined(
        settings=config.settings,
        etcd=tuple(etcd[endpoint] for endpoint in config.dcs.endpoints),
        reading=reading,
        unread=unread,
        dynamic=dynamic,
        patroni=tuple(patroni[name] for name in sorted(patroni)),
    )


async def _ask(http: Http, url: str) -> tuple[Mapping[str, Any], float | None, str]:
    """The answer, how long it took, and in words why there is none."""
    began_s = time.monotonic()
    try:
        answer = await http.get(url, deadline_s=DEADLINE_S)
    except TimeoutError:
        return {}, None, f"silent for {DEADLINE_S:g} s"
    except UNANSWERED as error:
        return {}, None, str(error) or type(error).__name__
    took_s = time.monotonic() - began_s
    said = _object(answer.body.decode(errors="replace"))
    return said, took_s, "" if said else f"answered with status {answer.status}, and no JSON"


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
