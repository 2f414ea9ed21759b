"""Make the integrations of a folder that is not installed available, to check them."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from types import ModuleType

from hub.sdk.registry import Available, Registry, Unavailable, load_manifest

_MANIFEST = "manifest.json"


def registry_of(folder: Path) -> Registry:
    """Return the integrations in a folder: the folder itself, or those one or two levels inside.

    So it may be an integration, a plugin with its pyproject.toml, or a folder of either. What has
    no readable manifest is in `unavailable`.
    """
    found: list[Available] = []
    unusable: list[Unavailable] = []
    for place in _folders(folder.resolve()):
        package = _importable(place)
        try:
            manifest = load_manifest(place)
        except (ValueError, OSError) as error:
            unusable.append(Unavailable(place.name, package, str(error)))
            continue
        if place.name in (manifest.id, f"hub_integration_{manifest.id}"):
            found.append(Available(manifest, package, place))
        else:
            reason = f"manifest.json says id {manifest.id!r}, the folder is {place.name!r}"
            unusable.append(Unavailable(place.name, package, reason))
    if not found and not unusable:
        reason = f"there is no {_MANIFEST} in {folder} or in the folders inside it"
        unusable.append(Unavailable(folder.name, "", reason))
    return Registry(found, unusable)


def _folders(folder: Path) -> list[Path]:
    for pattern in (_MANIFEST, f"*/{_MANIFEST}", f"*/*/{_MANIFEST}"):
        found = sorted(file.parent for file in folder.glob(pattern))
        if found:
            return found
    return []


def _importable(folder: Path) -> str:
    """Return a package name for a folder, made importable without shadowing any other package."""
    if folder.parent == Path(str(resources.files("integrations"))):
        return f"integrations.{folder.name}"
    held = {str(name): module for name, module in sys.modules.items() if name.startswith("checked")}
    for name, module in held.items():
        if getattr(module, "__path__", None) == [str(folder.parent)]:
            return f"{name}.{folder.name}"
    parent = ModuleType(f"checked{len(held)}")
    parent.__path__ = [str(folder.parent)]
    sys.modules[parent.__name__] = parent
    return f"{parent.__name__}.{folder.name}"
