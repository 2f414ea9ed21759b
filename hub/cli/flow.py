"""What flows: send a sample, watch events, show, explain, replay."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import rich_click as click

from hub.cli.client import Client
from hub.cli.main import cli, fail
from hub.cli.show import as_json, console, state, table
from hub.sdk import discover, json

_PATHS = {"wh": "webhooks", "ev": "events", "dl": "deliveries", "cn": "connections", "rt": "routes",
          "nd": "things", "ln": "links"}  # fmt: skip
_SAMPLE_SECRET = "sample-secret"  # noqa: S105 - the one the samples and the sandbox are signed with


@cli.command()
@click.argument("sample")
@click.option(
    "--connection", help="The connection that gets it; by default the first of its integration."
)
@click.option("--secret", default=_SAMPLE_SECRET, help="The connection's signing secret.")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def send(sample: str, connection: str | None, secret: str, *, raw: bool) -> None:
    """Send an integration's recorded webhook, signed anew, to the running hub.

    SAMPLE is `<integration>/<folder of its samples>`; `<integration>` alone lists them.
    """
    integration, _, folder = sample.partition("/")
    available = discover().get(integration)
    if available is None:
        fail(f"there is no integration {integration!r}; see `hub integration list`", 2)
        return
    samples = available.folder.joinpath("samples")
    names = (
        sorted(entry.name for entry in samples.iterdir() if entry.is_dir())
        if samples.is_dir()
        else []
    )
    if folder not in names:
        if folder:
            fail(f"{integration} has no sample {folder!r}; it has: {', '.join(names)}", 2)
        for name in names:
            console.print(f"{integration}/{name}")
        return
    client = Client()
    found = [
        item for item in client.get("/connections", limit=200)["items"]
        if item["integration"] == integration and connection in (None, item["name"])
    ]  # fmt: skip
    if not found:
        fail(
            f"no connection of {integration}{f' called {connection!r}' if connection else ''}; make one first"
        )
        return
    place = samples.joinpath(folder)
    body = next(e for e in place.iterdir() if e.name.startswith("body.")).read_bytes()
    headers = {
        k: v
        for k, v in json.loads(place.joinpath("headers.json").read_bytes()).items()
        if k != "content-length"
    }
    stand_in = available.sandbox()
    if stand_in is not None:
        headers.update(
            {k.lower(): v for k, v in stand_in.sign(body, secret, datetime.now(UTC)).items()}
        )
    answer = httpx.post(found[0]["webhook_url"], content=body, headers=headers, timeout=10)
    if raw:
        as_json(
            {"status": answer.status_code, "answer": answer.text, "connection": found[0]["name"]}
        )
    else:
        console.print(
            f"{found[0]['name']}: HTTP {answer.status_code} {answer.text}", soft_wrap=True
        )
    if not answer.is_success:
        raise SystemExit(1)


@cli.group()
def events() -> None:
    """Events of the shared schema."""


@events.command("tail")
@click.option("--follow/--no-follow", "-f", default=True, help="Go on showing new ones.")
@click.option(
    "--limit", default=20, show_default=True, help="How many of the newest to begin with."
)
@click.option("--type", "event_type", help="Only of this type.")
@click.option("--connection", help="Only of this connection.")
@click.option("--json", "raw", is_flag=True, help="Print one JSON object a line.")
def tail(
    *, follow: bool, limit: int, event_type: str | None, connection: str | None, raw: bool
) -> None:
    """Show the newest events, and new ones as they come."""
    client = Client()
    seen: set[str] = set()
    while True:
        page = client.get(
            "/events", limit=limit if not seen else 200, type=event_type, connection=connection
        )
        for item in reversed(page["items"]):
            # Shown once it has met its routes, so that the line tells how it ended.
            if item["id"] in seen or (follow and item["state"] == "waiting"):
                continue
            seen.add(item["id"])
            if raw:
                print(json.text(item), flush=True)  # noqa: T201 - one object a line, for scripts
            else:
                console.print(_event_line(item), soft_wrap=True)
        if not follow:
            return
        time.sleep(0.5)


def _event_line(item: Mapping[str, Any]) -> str:
    reason = f" [dim]{item['reason']}[/dim]" if item.get("reason") else ""
    return f"[dim]{item['time'][:19]}[/dim] {item['id']:>8} {item['type']:26} {item['subject']} {state(item['state'])}{reason}"


@cli.command()
@click.argument("name")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def show(name: str, *, raw: bool) -> None:
    """Show one thing by its id: wh_1, ev_1, dl_1, nd_1, ln_1, cn_1, rt_1."""
    path = _PATHS.get(name.partition("_")[0])
    if path is None or not re.fullmatch(r"[a-z]{2}_\d+", name):
        fail(f"{name!r} is no id; ids read {', '.join(f'{prefix}_1' for prefix in _PATHS)}", 2)
    found = Client().get(f"/{path}/{name}")
    if raw:
        as_json(found)
        return
    rows = [
        {"field": key, "value": value}
        for key, value in found.items()
        if not isinstance(value, list)
    ]
    table(rows, ["field", "value"], title=name)
    for key, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            table(value, list(value[0])[:6], title=key)


@cli.command()
@click.argument("name")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def explain(name: str, *, raw: bool) -> None:
    """Explain why something happened, or why nothing did.

    NAME is wh_1, ev_1, dl_1, nd_1, or a thing as `system/kind/key`, such as jira/issue/APP-12.
    """
    found = Client().get(f"/explain/{name}")
    if raw:
        as_json(found)
    else:
        _explain(found)


def _explain(found: Mapping[str, Any]) -> None:
    if "dedupe_key" in found:
        console.print(f"[bold]{found['id']}[/bold] webhook of {found['connection']}, taken in {found['received_at'][:19]}: "
                      f"{state(found['state'])} {found['reason']}", soft_wrap=True)  # fmt: skip
        if found["duplicates"]:
            console.print(f"  came {found['duplicates']} more times, taken once")
        for event in found["events"]:
            _explain_event(event, "  ")
    elif "decisions" in found:
        _explain_event(found, "")
    elif "tries" in found:
        _explain_delivery(found, "")
    else:
        label = found["key"] or found["external_id"]
        status = f", {found['status']}" if found["status"] else ""
        console.print(
            f"[bold]{found['id']}[/bold] {found['system']} {found['kind']} {label}{status}",
            soft_wrap=True,
        )
        for link in found["links"]:
            other = link["report"] if link["work_id"] == found["id"] else link["work_item"]
            name = (
                f"{other['system']} {other['kind']} {other['key'] or other['external_id']}"
                if other
                else "being created"
            )
            console.print(f"  linked ({link['origin']}) with {name}")
        for event in found["events"]:
            _explain_event(event, "  ")
        for delivery in found["told"]:
            _explain_delivery(delivery, "  ")


def _explain_event(event: Mapping[str, Any], indent: str) -> None:
    console.print(f"{indent}[bold]{event['id']}[/bold] {event['type']} {event['subject']}: "
                  f"{state(event['state'])} {event['reason']}", soft_wrap=True)  # fmt: skip
    for decision in event["decisions"] or ():
        word = "[green]matched[/green]" if decision["matched"] else "[dim]not matched[/dim]"
        why = decision.get("clause") or decision.get("fault") or ""
        console.print(
            f"{indent}  route {decision['route']}: {word} [dim]{why}[/dim]", soft_wrap=True
        )
        for step in decision.get("steps") or ():
            if "clause" in step:
                console.print(
                    f"{indent}    step {step['step']} {step['target']}: [dim]{step['clause']}[/dim]",
                    soft_wrap=True,
                )
    for delivery in event["deliveries"]:
        _explain_delivery(delivery, indent + "  ")


def _explain_delivery(delivery: Mapping[str, Any], indent: str) -> None:
    waits = f" [yellow]waits: {delivery['waits_for']}[/yellow]" if delivery["waits_for"] else ""
    doubt = " [yellow]may be a duplicate[/yellow]" if delivery["maybe_duplicate"] else ""
    console.print(f"{indent}[bold]{delivery['id']}[/bold] {delivery['route']}/{delivery['step']} → "
                  f"{delivery['connection']} {delivery['action']}: {state(delivery['state'])} "
                  f"{delivery['reason']}{waits}{doubt}", soft_wrap=True)  # fmt: skip
    for attempt in delivery["tries"]:
        status = f" HTTP {attempt['status']}" if attempt["status"] else ""
        console.print(
            f"{indent}  attempt {attempt['number']}: {attempt['outcome']}{status} [dim]{attempt['error']}[/dim]",
            soft_wrap=True,
        )


@cli.command()
@click.argument("kind", type=click.Choice(["webhook", "event", "delivery"]))
@click.argument("ids", nargs=-1)
@click.option("--state", "wanted", help="Only in this state (failed, dead …).")
@click.option("--connection", help="Only of this connection.")
@click.option("--route", help="Only of this route (deliveries).")
@click.option("--type", "event_type", help="Only of this type (events).")
@click.option("--since", help="From this time on (ISO 8601).")
@click.option("--until", "before", help="Before this time (ISO 8601).")
@click.option("--force", is_flag=True, help="Also send again what was delivered.")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def replay(
    kind: str, ids: tuple[str, ...], *, wanted: str | None, connection: str | None, route: str | None,
    event_type: str | None, since: str | None, before: str | None, force: bool, raw: bool,
) -> None:  # fmt: skip
    """Replay webhooks, events or deliveries: by id, by filter, by time range.

    Exit code 1 when nothing matched.
    """
    filters = {"state": wanted, "connection": connection, "route": route, "type": event_type}
    body = {
        "kind": kind, "ids": list(ids), "since": since, "until": before, "force": force,
        "filters": {name: value for name, value in filters.items() if value is not None},
    }  # fmt: skip
    answer = Client().post("/replay", {k: v for k, v in body.items() if v is not None})
    if raw:
        as_json(answer)
    else:
        console.print(
            f"{answer['replayed']} {kind}{'' if answer['replayed'] == 1 else 's'} replayed"
        )
    if not answer["replayed"]:
        raise SystemExit(1)
