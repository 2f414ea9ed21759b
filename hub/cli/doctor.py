"""Look the installation over and say what is wrong, with the mend."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from typing import NamedTuple

import rich_click as click

from hub.cli.client import ApiError, Client
from hub.cli.main import cli
from hub.cli.show import as_json, console, table
from hub.runtime.settings import Settings, load_settings
from hub.sdk import discover
from hub.sdk.errors import HubError
from hub.sdk.schemas import folder
from hub.store.pool import open_pool
from hub.store.vault import Vault

_LOW_DISK = 500 * 1024 * 1024


class _Finding(NamedTuple):
    check: str
    state: str
    detail: str
    mend: str = ""


@cli.command()
@click.option("--new-key", is_flag=True, help="Only print a new key for HUB_SECRET_KEYS.")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def doctor(*, new_key: bool, raw: bool) -> None:
    """Check settings, servers, integrations and the running hub; exit code 1 on a finding."""
    if new_key:
        console.print(Vault.new_key(), highlight=False)
        return
    settings = load_settings(os.environ)
    findings = list(_findings(settings))
    if raw:
        as_json([finding._asdict() for finding in findings])
    else:
        table([finding._asdict() for finding in findings], ["check", "state", "detail", "mend"])
    if any(finding.state != "ok" for finding in findings):
        raise SystemExit(1)


def _findings(settings: Settings) -> Iterator[_Finding]:
    yield _Finding("python", "ok", sys.version.split()[0])
    yield _Finding(
        "schemas",
        "ok" if folder().is_dir() else "failed",
        f"{folder()}",
        "install the package again",
    )
    place = next(
        (p for p in (settings.data, *settings.data.resolve().parents) if p.exists()), settings.data
    )
    free = shutil.disk_usage(place).free
    yield _Finding("disk", "ok" if free > _LOW_DISK else "failed", f"{free // 1_000_000:,} MB free for {settings.data}",
                   "" if free > _LOW_DISK else "make room: nothing is acknowledged that cannot be written")  # fmt: skip
    registry = discover().checked()
    for bad in registry.unavailable:
        yield _Finding(
            f"integration {bad.id}", "unavailable", bad.reason, f"hub integration check {bad.id}"
        )
    yield _Finding("integrations", "ok", ", ".join(registry))
    try:
        Vault(settings.keys())
        yield _Finding("secret keys", "ok", f"{len(settings.keys())} key")
    except HubError as error:
        yield _Finding("secret keys", "failed", str(error), "set HUB_SECRET_KEYS")
    if settings.database_url:
        yield asyncio.run(_postgres(settings.database_url))
    if settings.redis_url:
        there = asyncio.run(_redis(settings.redis_url))
        yield _Finding("redis", "ok" if there else "failed", "answers" if there else "does not answer",
                       "" if there else "the hub goes on without it, slower; check HUB_REDIS_URL")  # fmt: skip
    yield from _running(settings)


def _running(settings: Settings) -> Iterator[_Finding]:
    try:
        health = Client().get("/health")
    except ApiError as error:
        yield _Finding("running hub", "down", str(error), "hub up")
        return
    yield _Finding("running hub", health["status"], f"http://{settings.host}:{settings.port}")
    for name, check in (health.get("checks") or {}).items():
        if isinstance(check, dict) and check.get("status") not in (None, "ok"):
            yield _Finding(
                name, str(check["status"]), str(check.get("detail", "")), str(check.get("mend", ""))
            )


async def _postgres(url: str) -> _Finding:
    try:
        database = await open_pool(url, most=1, name="hub-doctor")
    except HubError as error:
        return _Finding("postgres", "failed", str(error), "check HUB_DATABASE_URL")
    try:
        revision = await database.fetchval("select version_num from alembic_version")
    except Exception as error:  # noqa: BLE001 - whatever it says belongs in the report
        return _Finding("postgres", "failed", str(error), "hub migrate")
    else:
        return _Finding("postgres", "ok", f"revision {revision}")
    finally:
        await database.close()


async def _redis(url: str) -> bool:
    from hub.queue.jobs import Queue

    queue = Queue(url)
    try:
        return await queue.ping()
    finally:
        await queue.close()
