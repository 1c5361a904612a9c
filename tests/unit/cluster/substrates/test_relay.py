"""A relay's context hands on what is raised in it."""

from __future__ import annotations

import anyio
import httpcore
import pytest

from cluster.substrates.relay import relay


def test_what_is_raised_comes_out_as_it_is() -> None:
    async def main() -> None:
        async with relay(httpcore.AsyncNetworkBackend(), "nowhere", 1) as port:
            raise ValueError(f"port {port}")

    with pytest.raises(ValueError, match="port"):
        anyio.run(main)


def test_a_context_that_is_cancelled_ends() -> None:
    async def main() -> bool:
        with anyio.move_on_after(0.01) as scope:
            async with relay(httpcore.AsyncNetworkBackend(), "nowhere", 1):
                await anyio.sleep_forever()
        return scope.cancelled_caught

    assert anyio.run(main)
