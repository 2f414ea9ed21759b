"""A new integration is written, works as written, and is found without an edit elsewhere."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hub.sdk.contract import registry_of, run
from hub.sdk.scaffold import MARK, new

ROOT = Path(__file__).parents[2]

FIND = """
import sys
from hub.sdk import discover
from hub.sdk.contract import run
registry = discover()
if "north_star" not in registry:
    sys.exit(f"not found: {list(registry)}; unavailable: {registry.unavailable}")
found = run(registry["north_star"])
print(registry["north_star"].package)
sys.exit("\\n".join(map(str, found)) or 0)
"""


def test_what_is_written_passes_the_contract(tmp_path: Path) -> None:
    written = new("north_star", tmp_path)
    registry = registry_of(tmp_path)
    assert list(registry) == ["north_star"]
    assert not run(registry["north_star"])
    assert {file.name for file in written} >= {"manifest.json", "README.md", "sandbox.py"}
    assert all(file.is_file() for file in written)
    assert registry["north_star"].manifest.title == "North Star"


def test_the_places_to_fill_in_are_marked(tmp_path: Path) -> None:
    written = new("north_star", tmp_path)
    marked = {file.name for file in written if MARK in file.read_text()}
    assert marked >= {"manifest.json", "webhook.py", "normalize.py", "actions.py", "README.md"}
    assert not any("$" + word in file.read_text() for file in written for word in ("name", "mark"))


def test_a_plugin_is_found_through_its_entry_point(tmp_path: Path) -> None:
    new("north_star", tmp_path, title="North Star", package=True)
    plugin = tmp_path / "north_star"
    project = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["hub.integrations"]
    # What an installer writes beside an editable package, without asking a network for a builder.
    info = plugin / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[hub.integrations]", *lines, ""]))
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", FIND],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(plugin)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "hub_integration_north_star"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    new("north_star", tmp_path)
    mine = tmp_path / "north_star" / "normalize.py"
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="another name"):
        new("north_star", tmp_path)
    assert mine.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["north_star"]


@pytest.mark.parametrize("name", ["", "a", "Acme", "9lives", "a-b", "../up", "class", "x" * 41])
def test_a_name_that_is_no_id_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^name: "):
        new(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_title_cannot_break_the_files(tmp_path: Path) -> None:
    new("acme_one", tmp_path, title='Acme "One" \\ $name <b>')
    registry = registry_of(tmp_path)
    assert not run(registry["acme_one"])
    assert registry["acme_one"].manifest.title == "Acme One name b"


def test_a_folder_without_an_integration_is_said_to_be_one(tmp_path: Path) -> None:
    registry = registry_of(tmp_path)
    assert not registry
    assert "manifest.json" in registry.unavailable[0].reason
