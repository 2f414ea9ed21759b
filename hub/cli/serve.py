"""Run the hub: everything at once, or one process of it.

Each command imports what it needs: the servers' libraries take a second to load, and `hub up`
starts several processes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import rich_click as click

from hub.cli import demo
from hub.cli.client import KEY_FILE
from hub.cli.main import cli, fail
from hub.cli.show import console
from hub.runtime.logs import configure_logs
from hub.runtime.settings import Settings, load_settings
from hub.runtime.supervisor import Child, Runtime, StartError
from hub.runtime.supervisor import run as supervise
from hub.store.apikeys import ensure_admin_key
from hub.store.pool import open_pool


@cli.command()
@click.option(
    "--demo",
    "with_demo",
    is_flag=True,
    help="Also start stand-in vendors, load the demo workspace and play it.",
)
def up(*, with_demo: bool) -> None:
    """Start PostgreSQL and Redis (unless addresses are given), web and worker, and keep them up."""
    settings = load_settings(os.environ)

    def children(runtime: Runtime) -> list[Child]:
        base = settings.local_url()
        wanted = [
            Child("web", _hub("web"), runtime.env, f"{base}/api/v1/health"),
            *(
                Child(f"worker-{n + 1}", _hub("worker"), runtime.env, None)
                for n in range(settings.workers)
            ),
        ]
        if with_demo:
            address = demo.sandbox_url(settings)
            wanted.insert(0, Child("sandbox", _hub("sandbox"), runtime.env, f"{address}/_sandbox"))
        return wanted

    async def migrated(runtime: Runtime) -> None:
        from hub.store.migrate import migrate as bring_up_to_date

        await bring_up_to_date(runtime.database_url)

    async def ready(runtime: Runtime) -> None:
        key = await _admin_key(settings, runtime.database_url)
        _welcome(settings, key, with_demo=with_demo)
        if with_demo:
            passed = await asyncio.to_thread(
                demo.play, settings.local_url(), key, demo.sandbox_url(settings)
            )
            if not passed:
                console.print("[red]The demo did not end as it should; see above.[/red]")
        _what_next()

    if with_demo:
        settings = settings.with_allowed(f"{settings.host}:{settings.sandbox_port}")
    try:
        ports = [("HUB_PORT", settings.port)]
        if with_demo:
            ports.append(("HUB_SANDBOX_PORT", settings.sandbox_port))
        code = asyncio.run(
            supervise(settings, children, migrate=migrated, ready=ready, ports=ports)
        )
    except StartError as error:
        fail(str(error), 3)
        return
    raise SystemExit(code)


@cli.command()
def web() -> None:
    """Run the web process: webhooks in, the admin API, the pages."""
    settings = load_settings(os.environ)
    configure_logs(settings)
    _run(_web(settings))


@cli.command()
def worker() -> None:
    """Run a worker process: normalize, route, deliver."""
    settings = load_settings(os.environ)
    configure_logs(settings)
    _run(_worker(settings))


@cli.command()
def sandbox() -> None:
    """Run the stand-in vendors, for the demo and for trying a route."""
    from hub.sandbox import SandboxSettings, serve

    settings = load_settings(os.environ)
    configure_logs(settings)
    serve(
        SandboxSettings(
            host=settings.host, port=settings.sandbox_port, state=settings.data / "sandbox.json"
        )
    )


@cli.command()
def migrate() -> None:
    """Bring the database to the newest revision and see that an admin key exists."""
    settings = load_settings(os.environ)

    from hub.store.migrate import migrate as bring_up_to_date

    async def work() -> None:
        url = _needed(settings.database_url, "HUB_DATABASE_URL")
        await bring_up_to_date(url)
        settings.data.mkdir(parents=True, exist_ok=True)
        await _admin_key(settings, url)

    asyncio.run(work())
    console.print(f"the database is up to date; the admin key is in {settings.data / KEY_FILE}")


async def _web(settings: Settings) -> None:
    import uvicorn

    from hub.runtime.services import open_services
    from hub.web.app import create_app

    database_url = _needed(settings.database_url, "HUB_DATABASE_URL")
    redis_url = _needed(settings.redis_url, "HUB_REDIS_URL")
    async with open_services(
        settings, database_url=database_url, redis_url=redis_url, name="hub-web"
    ) as services:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(services), host=settings.host, port=settings.port, loop="uvloop", http="httptools",
                log_config=None, access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=8, backlog=4096,
            )
        )  # fmt: skip
        _settle_memory()
        await server.serve()


async def _worker(settings: Settings) -> None:
    from hub.runtime.services import open_services
    from hub.runtime.worker import run_worker

    database_url = _needed(settings.database_url, "HUB_DATABASE_URL")
    redis_url = _needed(settings.redis_url, "HUB_REDIS_URL")
    async with open_services(
        settings, database_url=database_url, redis_url=redis_url, name="hub-worker", by_index=True
    ) as services:
        _settle_memory()
        await run_worker(services, redis_url)


async def _admin_key(settings: Settings, database_url: str) -> str:
    database = await open_pool(database_url, most=2, name="hub-up")
    try:
        return await ensure_admin_key(database, settings.data / KEY_FILE)
    finally:
        await database.close()


def _hub(command: str) -> list[str]:
    return [sys.executable, "-m", "hub.cli", command]


def _needed(url: str | None, name: str) -> str:
    if not url:
        fail(f"{name} is not set; `hub up` starts one for you, or give the address of yours", 3)
    return url or ""


def _settle_memory() -> None:
    """Look for garbage in what is new, and seldom: what was loaded so far stays for good.

    Python's own thresholds (700 objects) cost a worker 7 % of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(work)


def _welcome(settings: Settings, key: str, *, with_demo: bool) -> None:
    base = settings.local_url()
    console.print(f"[bold green]The hub is up[/bold green] at [bold]{base}[/bold]")
    console.print(f"  try it out  {base}/docs   (the admin API)", soft_wrap=True)
    console.print(
        f"  admin key   {key}   (also in {_short(settings.data / KEY_FILE)})", soft_wrap=True
    )
    if with_demo:
        console.print(
            f"  stand-ins   {demo.sandbox_url(settings)}   (what the demo's vendors hold)\n"
        )


def _what_next() -> None:
    console.print("\nTry next, in another terminal: [bold]hub events tail[/bold], "
                  "[bold]hub explain ev_1[/bold], [bold]hub doctor[/bold]. Ctrl-C stops everything.",
                  soft_wrap=True)  # fmt: skip


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
