"""Write the folder of a new integration: small, whole, and passing the contract suite as written.

What a person has to fill in is marked with `FILL IN:`.
"""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from hub.sdk.signature import sign

MARK = "FILL IN:"
"""What every place to fill in begins with."""

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
_SECRET = "sample-secret"  # noqa: S105 - the secret of every sample
_SAMPLE = "samples/report.created__plain"


def new(name: str, folder: Path, *, title: str | None = None, package: bool = False) -> list[Path]:
    """Write `folder/name/` and return the files written.

    With `package` the integration is a plugin of its own, found through its entry point once it is
    installed: `folder/name/pyproject.toml`, and the integration in `hub_integration_<name>/`
    beside it. Without, `folder` is the project's `integrations/`.

    Raises `ValueError` for a name that cannot be an id, `FileExistsError` when the folder is
    there; nothing is left half written.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        message = f"name: {name!r} is no id: take 2 to 40 of a-z, 0-9 and _, a letter first"
        raise ValueError(message)
    target = folder / name
    if target.exists():
        message = f"{target} exists already: choose another name, or remove it first"
        raise FileExistsError(message)
    words = {
        "name": name,
        "title": _shown(title or name.replace("_", " ").title()),
        "header": f"x-{name.replace('_', '-')}-signature",
        "mark": MARK,
    }
    files = _files("integration", words)
    if package:
        inner = f"hub_integration_{name}"
        files = {f"{inner}/{path}": content for path, content in files.items()}
        files |= _files("package", words)
    return _write(target, files)


def _files(kind: str, words: dict[str, str]) -> dict[str, bytes]:
    """Return path -> content of a folder of templates, the sample signed."""
    root = resources.files(__name__).joinpath("templates", kind)
    files = {path: Template(text).substitute(words).encode() for path, text in _templates(root, "")}
    body = files.get(f"{_SAMPLE}/body.json")
    if body is not None:
        signed = {**words, "signature": sign(_SECRET, body)}
        text = files[f"{_SAMPLE}/headers.json"].decode()
        files[f"{_SAMPLE}/headers.json"] = Template(text).substitute(signed).encode()
    return files


def _templates(folder: Traversable, inside: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            path = _SAMPLE if entry.name == "sample" else entry.name
            found += _templates(entry, f"{inside}{path}/")
        elif entry.name.endswith(".tmpl"):
            found.append((inside + entry.name.removesuffix(".tmpl"), entry.read_text("utf-8")))
    return found


def _write(target: Path, files: dict[str, bytes]) -> list[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        for path, content in files.items():
            file = unfinished / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        unfinished.chmod(0o755)  # mkdtemp lets only its owner in
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return [target / path for path in sorted(files)]


def _shown(title: str) -> str:
    # The title stands in JSON, Markdown and Python texts.
    plain = " ".join(re.sub(r'["\\`$<>]', " ", title).split())
    if not plain or not plain.isprintable():
        message = f"title: {title!r} cannot be shown: give the vendor's name in plain letters"
        raise ValueError(message)
    return plain
