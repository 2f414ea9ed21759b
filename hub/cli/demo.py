"""Play a scenario against the running hub and its stand-in vendors: the real path, from outside.

A scenario is a YAML file: connections, routes, what people do, and what must be true in the end.
The hub has no scenario of its own; they lie with the integrations (`integrations/_demo/`).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import httpx
import minijinja
import rich_click as click
import yaml

from hub.cli.client import Client
from hub.cli.main import cli, fail
from hub.cli.show import console, state
from hub.runtime.settings import Settings, load_settings
from hub.sdk.errors import HubError

_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class ScenarioError(HubError):
    """The scenario cannot be played: a file, a stand-in or an act is not there."""


@cli.command("demo")
@click.option(
    "--scenario", default="product_day", show_default=True, help="A file of integrations/_demo."
)
@click.option(
    "--wait", default=_WAIT_SECONDS, show_default=True, help="Seconds to wait for what must follow."
)
def command(scenario: str, wait: float) -> None:
    """Play a day of a product team against the running hub; exit code 1 if it ends wrongly."""
    settings = load_settings(os.environ)
    client = Client()
    if not play(client.url, client.key, sandbox_url(settings), scenario=scenario, wait=wait):
        fail("the stand-ins do not hold what they should")


def sandbox_url(settings: Settings) -> str:
    """Return where the stand-in vendors are."""
    return settings.local_url(settings.sandbox_port)


def play(
    hub: str, key: str, sandbox: str, *, scenario: str = "product_day", wait: float = _WAIT_SECONDS
) -> bool:
    """Load the scenario's workspace and play it; returns whether everything ended as it should.

    Raises `ScenarioError` and `ApiError`.
    """
    player = _Player(Client(hub, key), sandbox, _read(scenario), wait)
    player.load()
    return player.play()


def _read(name: str) -> dict[str, Any]:
    file = resources.files("integrations").joinpath("_demo", f"{name}.yaml")
    if not file.is_file():
        message = f"there is no scenario {name!r} in integrations/_demo"
        raise ScenarioError(message)
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    return dict(found)


class _Player:
    """Plays one scenario once."""

    def __init__(
        self, client: Client, sandbox: str, scenario: Mapping[str, Any], wait: float
    ) -> None:
        self._patience = wait
        self._client = client
        self._sandbox = sandbox
        self._scenario = scenario
        self._http = httpx.Client(timeout=10, trust_env=False)
        self._templates = minijinja.Environment(undefined_behavior="strict", fuel=1_000_000)
        self._templates.add_test("containing", lambda text, part: part in text)
        self._known: dict[str, Any] = {"run": secrets.token_hex(3), "sandbox": sandbox}
        self._told: dict[str, str] = {}
        self._from = ""

    def load(self) -> None:
        """Make the workspace's connections and routes, or bring those that are there up to date."""
        console.print(f"[bold]{self._scenario['title']}[/bold] (run {self._known['run']})")
        have = {item["name"]: item for item in self._client.get("/connections", limit=200)["items"]}
        for wanted in self._rendered(self._scenario["connections"]):
            name = wanted["name"]
            stand_in = wanted.pop("sandbox", {})
            if name in have:
                made = self._client.call(
                    "PATCH", f"/connections/{name}", body={"config": wanted["config"]}
                )
            else:
                made = self._client.post("/connections", wanted)
            target = {"url": made["webhook_url"], **stand_in}
            self._stand_in("PUT", f"/_sandbox/{wanted['integration']}/target", target)
            self._client.post(f"/connections/{name}/test")
        have_routes = {item["name"] for item in self._client.get("/routes", limit=200)["items"]}
        for route in self._scenario["routes"]:
            if route["name"] in have_routes:
                self._client.call("PUT", f"/routes/{route['name']}", body=route)
            else:
                self._client.post("/routes", route)

    def play(self) -> bool:
        """Do what people do, wait for what must follow, and check the end."""
        newest = self._client.get("/events", limit=1)["items"]
        self._from = newest[0]["id"] if newest else "ev_0"
        for step in self._scenario["play"]:
            if "say" in step:
                console.print(
                    f"\n[bold cyan]» {self._text(step['say'])}[/bold cyan]", soft_wrap=True
                )
            if "act" in step:
                integration, _, name = step["act"].partition("/")
                result = self._stand_in(
                    "POST",
                    f"/_sandbox/{integration}/act/{name}",
                    self._rendered(step.get("args", {})),
                )
                if "as" in step:
                    self._known[step["as"]] = result
            if "until" in step and not self._wait(step["until"]):
                console.print(
                    f"[red]✗ waited {self._patience:.0f} s for: {step['until']}[/red]",
                    soft_wrap=True,
                )
                return False
            for name, thing in step.get("look", {}).items():
                self._known[name] = self._linked(self._text(thing))
        self._settle()
        return self._check()

    def _linked(self, thing: str) -> str:
        """Return the key of the work item that a thing is linked to, as the hub tells it."""
        links = self._client.get(f"/explain/{thing}")["links"]
        keys = [link["work_item"]["key"] for link in links if link["work_item"]]
        if not keys:
            message = f"{thing} is linked to no work item"
            raise ScenarioError(message)
        return str(keys[0])

    def _check(self) -> bool:
        console.print("\n[bold]In the end[/bold]")
        good = True
        for check in self._scenario["checks"]:
            passed = bool(self._value(check["expect"]))
            good = good and passed
            mark = "[green]✓[/green]" if passed else "[red]✗[/red]"
            console.print(f"  {mark} {self._text(check['say'])}", soft_wrap=True)
        return good

    def _wait(self, condition: str) -> bool:
        deadline = time.monotonic() + self._patience
        while not self._value(condition):
            self._tell()
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        self._tell()
        return True

    def _settle(self) -> None:
        """Wait until nothing moves: no webhook on its way, no event or delivery waiting."""
        deadline = time.monotonic() + self._patience
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:  # noqa: PLR2004 - three looks in a row
            self._tell()
            moving = not self._stand_in("GET", "/_sandbox/idle")["idle"] or any(
                self._client.get(f"/{kind}", state=word, limit=1)["items"]
                for kind, words in (("webhooks", ("received",)), ("events", ("waiting",)), ("deliveries", ("pending", "in_flight", "blocked")))
                for word in words
            )  # fmt: skip
            quiet = 0 if moving else quiet + 1
            time.sleep(0.1)

    def _tell(self) -> None:
        """Print what has happened since the last look: events, and deliveries as they end."""
        for line in self._news():
            console.print(line, soft_wrap=True)

    def _news(self) -> Iterator[str]:
        first = int(self._from.partition("_")[2])
        for item in reversed(self._client.get("/events", limit=50)["items"]):
            if (
                int(item["id"].partition("_")[2]) > first
                and item["state"] != "waiting"
                and item["id"] not in self._told
            ):
                self._told[item["id"]] = item["state"]
                yield f"  [dim]{item['id']:>7}[/dim] {item['type']} {item['subject']}: {state(item['state'])} [dim]{item['reason']}[/dim]"
        for item in reversed(self._client.get("/deliveries", limit=50)["items"]):
            if int(item["event_id"].partition("_")[2]) <= first or item["state"] in {
                "pending",
                "in_flight",
                "blocked",
            }:
                continue
            if self._told.get(item["id"]) != item["state"]:
                self._told[item["id"]] = item["state"]
                yield f"  [dim]{item['id']:>7}[/dim] → {item['connection']} {item['action']}: {state(item['state'])} [dim]{item['reason']}[/dim]"

    def _value(self, expression: str) -> Any:
        try:
            return self._templates.eval_expr(expression, **self._known, **self._states())
        except minijinja.TemplateError as error:
            if error.kind == "UndefinedError":
                return None
            message = f"{expression!r}: {error.detail or error.kind}"
            raise ScenarioError(message) from None

    def _states(self) -> dict[str, Any]:
        names = {item["integration"] for item in self._scenario["connections"]}
        return {name: self._stand_in("GET", f"/_sandbox/{name}/state") for name in sorted(names)}

    def _text(self, template: str) -> str:
        return self._templates.render_str(template, **self._known)

    def _rendered(self, value: Any) -> Any:
        if isinstance(value, str) and ("{{" in value):
            return self._text(value)
        if isinstance(value, dict):
            return {name: self._rendered(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._rendered(item) for item in value]
        return value

    def _stand_in(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = self._http.request(method, self._sandbox + path, json=body)
        except httpx.HTTPError as error:
            message = f"no stand-in vendors answer at {self._sandbox} ({error}); start them with `hub up --demo`"
            raise ScenarioError(message) from None
        if not answer.is_success:
            message = f"{method} {path}: HTTP {answer.status_code} {answer.text[:300]}"
            raise ScenarioError(message)
        return answer.json() if answer.content else None
