"""What a fresh machine gets: the locked libraries, the wheel, the containers, `make`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from hub.cli.main import cli
from hub.runtime.embedded import POSTGRES_SETTINGS

ROOT = Path(__file__).parents[2]
LOCKS = ("runtime.lock", "dev.lock")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked(lock: str) -> set[str]:
    text = (ROOT / "requirements" / lock).read_text()
    return {_plain(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_locks_hold_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [_plain(re.split(r"[\[<>=; ]", line)[0]) for line in project["dependencies"]]
    assert set(named) <= _locked("runtime.lock")
    assert _locked("runtime.lock") <= _locked("dev.lock")
    # It builds a grammar at import: 2 s in every process, for a format that nothing here uses.
    assert "rfc3987-syntax" not in _locked("runtime.lock")


def test_every_module_loads_with_the_runtime_libraries_alone() -> None:
    """A library that only the developers' tools bring along is missing on a fresh machine."""
    runtime = _locked("runtime.lock") | {"productops-hub"}
    hidden = [
        module
        for module, owners in packages_distributions().items()
        if not runtime & {_plain(owner) for owner in owners}
    ]
    code = f"""
import importlib, pkgutil, sys
hidden = set({hidden!r}) - {{"hub", "integrations"}}
finders = list(sys.meta_path)
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            return None
        found = (finder.find_spec(name, path, target) for finder in finders)
        return next((spec for spec in found if spec), None)
    def find_distributions(self, context):
        for finder in finders:
            if hasattr(finder, "find_distributions"):
                yield from finder.find_distributions(context)
sys.meta_path[:] = [Hide()]
for top in ("hub", "integrations"):
    package = importlib.import_module(top)
    for module in pkgutil.walk_packages(package.__path__, top + "."):
        # alembic's own files run inside alembic only
        if not module.name.endswith("__main__") and ".migrations." not in module.name:
            importlib.import_module(module.name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_wheel_carries_the_data_files(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-1000:]
    (wheel,) = tmp_path.glob("*.whl")
    files = set(zipfile.ZipFile(wheel).namelist())
    for schema in (ROOT / "schemas").glob("*.json"):
        assert f"hub/_schemas/{schema.name}" in files
    for manifest in (ROOT / "integrations").glob("*/manifest.json"):
        folder = manifest.parent
        for path in (manifest, folder / "README.md", *folder.glob("samples/*/*")):
            assert str(path.relative_to(ROOT)) in files
    assert "hub/py.typed" in files
    assert not [name for name in files if name.startswith(("tests/", "bench/", ".hub/"))]


def test_compose_runs_postgres_with_the_embedded_figures() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    program, *options = services["postgres"]["command"]
    assert program == "postgres"
    given = dict(option.removeprefix("-c").split("=", 1) for option in options)
    # Other containers come by TCP, this machine's processes by the socket.
    assert given == {k: v for k, v in POSTGRES_SETTINGS.items() if k != "listen_addresses"}


def test_containers_run_commands_that_exist() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("migrate", "web", "worker"):
        command = services[name]["command"]
        assert command[0] == "hub"
        assert command[1] in cli.commands
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements/runtime.lock" in dockerfile
    assert re.search(r"^USER hub$", dockerfile, re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        for path in source.split():
            assert (ROOT / path).exists(), path


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_without_a_python_says_what_to_do(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    # Without what a make around this test has put into the environment.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "run", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False, env=env
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert line.startswith("Python 3.11, 3.12 or 3.13 is needed and none was found")
    assert "make PYTHON=/path/to/python" in line
