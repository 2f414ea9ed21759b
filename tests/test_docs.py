"""What the README and the docs say is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hub.cli.main import cli
from hub.deliver.schedule import STEPS
from hub.route.check import read_route
from hub.route.definition import Route
from hub.runtime.settings import settings_table

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("integrations/*/README.md")),
]


def test_the_settings_are_those_there_are() -> None:
    text = (ROOT / "README.md").read_text()
    shown = text.partition("<!-- settings -->\n")[2].partition("<!-- /settings -->")[0]
    assert shown == settings_table()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES[:7], ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    for words in re.findall(r"`hub ([a-z]+)((?: [a-z]+)*)", page.read_text()):
        assert words[0] in cli.commands, words


def test_the_routes_of_the_readme_are_routes() -> None:
    blocks = re.findall(r"```json\n(\{.*?\n\})\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert isinstance(read_route(json.loads(block)), Route)


def test_the_retry_schedule_is_the_one_that_is_told() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    told = re.search(r"After a failed attempt: (.*?), each", text, re.DOTALL)
    assert told is not None
    unit = {"s": 1, "min": 60, "h": 3600}
    seconds = [int(n) * unit[u] for n, u in re.findall(r"(\d+) (s|min|h)\b", told[1])]
    assert tuple(seconds) == STEPS
