"""The admin API served over loopback, with an admin and a reader key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from hub.runtime.services import Services
from hub.store import apikeys
from hub.store.pool import transaction
from hub.web.app import create_app
from tests.support import Vendor, running_vendor


class Api:
    """A client of the served API."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self.http = httpx.AsyncClient(base_url=url, timeout=10)

    async def __call__(
        self, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {key or self.key}"}
        return await self.http.request(method, f"/api/v1{path}", json=body, headers=headers)


@pytest.fixture
async def api(services: Services) -> AsyncIterator[Api]:
    async with transaction(services.database) as session:
        _, key = await apikeys.create(session, "tests", "admin")
    server = uvicorn.Server(uvicorn.Config(create_app(services), port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    client = Api(f"http://127.0.0.1:{port}", key)
    yield client
    await client.http.aclose()
    server.should_exit = True
    await serving


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with running_vendor() as running:
        yield running


@pytest.fixture
async def desk(api: Api, vendor: Vendor) -> dict[str, Any]:
    """A connection of the made-up vendor, as the API shows it."""
    config = {"api_url": vendor.url, "token": "sample-token", "secret": "sample-secret"}
    answer = await api(
        "POST", "/connections", {"name": "desk", "integration": "acme", "config": config}
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found
