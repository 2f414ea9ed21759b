"""Waiting lines: look at them, drain them; and the loss audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich_click as click

from hub.cli.client import Client
from hub.cli.main import cli, fail
from hub.cli.show import as_json, console, table
from hub.sdk import json
from hub.sdk.errors import HubError


@cli.command()
@click.option("--since", metavar="DAY", help="From this day on (2026-11-23); by default, all.")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def audit(*, since: str | None, raw: bool) -> None:
    """Add up what was accepted and what became of it; exit code 1 when something is amiss."""
    found = Client(timeout=900).get("/flow/audit", since=since)
    if raw:
        as_json(found)
    else:
        _audit(found)
    if not found["ok"]:
        raise SystemExit(1)


def _audit(found: Mapping[str, Any]) -> None:
    console.print(f"since {found['since']}")
    for name, states in found["counts"].items():
        shown = ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
        console.print(f"  {name}: {shown}")
    for item in found["sums"]:
        word = "[green]holds[/green]" if item["holds"] else "[red]does not hold[/red]"
        console.print(f"{item['name']}: {item['left']} = {item['right']} {word}", soft_wrap=True)
    for item in found["checks"]:
        if item["broken"]:
            word = f"[red]broken {item['broken']} times[/red]: {', '.join(item['examples'])}"
        else:
            word = "[green]holds[/green]"
        console.print(f"{item['name']}: {word}", soft_wrap=True)


@cli.group()
def lanes() -> None:
    """Look at what waits behind what, and drain it."""


@lanes.command("list")
@click.option("--connection", help="Only of this connection.")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def list_lanes(*, connection: str | None, raw: bool) -> None:
    """List the lanes in which something waits, the longest line first."""
    items = Client().get("/lanes", connection=connection)["items"]
    if raw:
        as_json(items)
    else:
        table(items, ["connection", "lane", "waiting", "oldest_at", "head", "state", "due_at", "reason"])  # fmt: skip


@lanes.command("show")
@click.argument("connection")
@click.argument("lane")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def show_lane(connection: str, lane: str, *, raw: bool) -> None:
    """Show what waits in LANE of CONNECTION, in the order it will leave."""
    items = Client().get("/lanes/line", connection=connection, lane=lane)["items"]
    if raw:
        as_json(items)
        return
    table(items, ["id", "route", "step", "action", "state", "attempts", "due_at", "reason"])
    if len(items) > 1:
        head = items[0]["id"]
        console.print(f"{len(items) - 1} wait behind {head}: hub delivery retry {head}, "
                      f"hub delivery skip {head}, or hub delivery fix {head} input=value")  # fmt: skip


@lanes.command("skip")
@click.argument("connection")
@click.argument("lane")
@click.option("--reason", default="skipped by hand", show_default=True)
def skip_lane(connection: str, lane: str, *, reason: str) -> None:
    """End everything that waits in LANE of CONNECTION unsent."""
    body = {"connection": connection, "lane": lane, "reason": reason}
    console.print(f"{Client().post('/lanes/skip', body)['skipped']} skipped")


@cli.group()
def delivery() -> None:
    """Retry, skip or fix what holds up its lane."""


@delivery.command("retry")
@click.argument("name")
def retry(name: str) -> None:
    """Try a waiting delivery at once."""
    console.print(f"{name}: {Client().post(f'/deliveries/{name}/retry')['state']}")


@delivery.command("skip")
@click.argument("name")
@click.option("--reason", default="skipped by hand", show_default=True)
def skip(name: str, *, reason: str) -> None:
    """End a waiting or dead delivery unsent; the lane behind it goes on."""
    console.print(
        f"{name}: {Client().post(f'/deliveries/{name}/skip', {'reason': reason})['state']}"
    )


@delivery.command("fix")
@click.argument("name")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT=VALUE...")
def fix(name: str, inputs: tuple[str, ...]) -> None:
    """Change inputs of a waiting or dead delivery and try it at once.

    A VALUE that is JSON is taken as such, anything else as text.
    """
    changed: dict[str, Any] = {}
    for item in inputs:
        field, equals, value = item.partition("=")
        if not equals:
            fail(f"{item!r} is no INPUT=VALUE; write for example priority=High", 2)
        changed[field] = _value(value)
    found = Client().post(f"/deliveries/{name}/fix", {"inputs": changed})
    console.print(f"{name}: {found['state']}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except HubError:
        return text
