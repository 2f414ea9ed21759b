"""How the command shows things: tables for people, JSON for scripts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from hub.sdk import json

console = Console(highlight=False)
_COLOURS = {
    "delivered": "green", "processed": "green", "routed": "green", "active": "green", "ok": "green",
    "pending": "yellow", "blocked": "yellow", "in_flight": "yellow", "received": "yellow",
    "waiting": "yellow", "paused": "yellow", "degraded": "yellow", "late": "yellow",
    "dead": "red", "failed": "red", "auth_failed": "red", "down": "red", "unavailable": "red",
    "skipped": "dim", "ignored": "dim", "unmatched": "dim", "echo": "dim", "removed": "dim",
}  # fmt: skip


def as_json(value: object) -> None:
    """Print a value as JSON, indented on a terminal."""
    raw = json.dumps(value)
    sys.stdout.write(
        (msgspec.json.format(raw, indent=2) if console.is_terminal else raw).decode() + "\n"
    )


def state(word: str) -> str:
    """Return a state word with its colour."""
    colour = _COLOURS.get(word)
    return f"[{colour}]{word}[/{colour}]" if colour else word


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, title: str = "") -> None:
    """Print rows as a table; a column named `state` is coloured."""
    if not rows:
        console.print(f"[dim]{title + ': ' if title else ''}nothing[/dim]")
        return
    shown = Table(
        box=None, header_style="bold", title=title or None, title_justify="left", pad_edge=False
    )
    for name in columns:
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(name, row.get(name)) for name in columns))
    console.print(shown)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in {"state", "status"} and isinstance(value, str):
        return state(value)
    if isinstance(value, (dict, list, tuple)):
        return json.text(value)
    return str(value).replace("[", "\\[")
