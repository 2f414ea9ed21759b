"""Integrations: list them, begin a new one, check them."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from hub.cli.main import cli, fail
from hub.cli.show import as_json, console, table
from hub.sdk import Registry, discover


@cli.group()
def integration() -> None:
    """Integrations: one folder each."""


@integration.command("list")
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def list_all(*, raw: bool) -> None:
    """List every integration found; exit code 1 when one cannot be used."""
    registry = discover().checked()
    rows = [
        {
            "id": item.id, "title": item.manifest.title, "state": "ok",
            "receives": len(item.manifest.receives.events) if item.manifest.receives else 0,
            "actions": ", ".join(item.manifest.sends.actions) if item.manifest.sends else "",
            "reason": "",
        }
        for item in registry.values()
    ]  # fmt: skip
    rows += [
        {
            "id": bad.id,
            "title": bad.package,
            "state": "unavailable",
            "receives": 0,
            "actions": "",
            "reason": bad.reason,
        }
        for bad in registry.unavailable
    ]
    if raw:
        as_json(rows)
    else:
        table(rows, ["id", "title", "state", "receives", "actions", "reason"])
    if registry.unavailable:
        raise SystemExit(1)


@integration.command()
@click.argument("name")
@click.option(
    "--in", "folder", default="integrations", show_default=True, type=click.Path(path_type=Path)
)
@click.option("--title", help="The vendor's name as they write it.")
@click.option(
    "--package", is_flag=True, help="Make it a package of its own, found by its entry point."
)
def new(name: str, folder: Path, title: str | None, *, package: bool) -> None:
    """Write a new integration that works, with the places marked that are yours to fill in."""
    from hub.sdk import scaffold

    try:
        written = scaffold.new(name, folder, title=title, package=package)
    except (ValueError, FileExistsError) as error:
        fail(str(error), 2)
        return
    for path in written:
        console.print(f"wrote {path}")
    console.print(f"\nNow search it for FILL IN, and run [bold]hub integration check {name}[/bold]")


@integration.command()
@click.argument("names", nargs=-1)
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path, exists=True),
    help="A folder not installed yet.",
)
@click.option("--json", "raw", is_flag=True, help="Print JSON.")
def check(names: tuple[str, ...], folder: Path | None, *, raw: bool) -> None:
    """Run the contract suite and print every finding; exit code 1 when there is one."""
    from hub.sdk import contract

    registry = _registry(folder)
    unknown = [name for name in names if name not in registry]
    findings = [
        {
            "integration": bad.id,
            "check": "discovery",
            "place": bad.package,
            "problem": bad.reason,
            "mend": "",
        }
        for bad in registry.unavailable
        if not names or bad.id in names
    ]
    if set(unknown) - {bad["integration"] for bad in findings}:
        fail(f"there is no integration {', '.join(unknown)}; there is: {', '.join(registry)}", 2)
    for name in names or registry:
        if name in registry:
            findings += [
                {
                    "integration": f.integration,
                    "check": f.check,
                    "place": f.place,
                    "problem": f.problem,
                    "mend": f.mend,
                }
                for f in contract.run(registry[name])
            ]
    if raw:
        as_json(findings)
    elif findings:
        table(findings, ["integration", "check", "place", "problem", "mend"])
    else:
        console.print(f"[green]all well[/green]: {', '.join(names or registry)}")
    if findings:
        raise SystemExit(1)


def _registry(folder: Path | None) -> Registry:
    if folder is None:
        return discover()
    from hub.sdk import contract

    return contract.registry_of(folder)
