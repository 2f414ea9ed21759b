"""Find integrations: the folders of `integrations/`, and the entry points `hub.integrations`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from hub.sdk.integration import Integration, Manifest
from hub.sdk.sandbox import Sandbox

ENTRY_POINTS = "hub.integrations"


@dataclass(frozen=True)
class Available:
    """An integration that can be used. The code is imported when it is first asked for."""

    manifest: Manifest
    package: str
    folder: Traversable

    @property
    def id(self) -> str:
        """The integration's id, which is also its folder's name."""
        return self.manifest.id

    @cached_property
    def code(self) -> Integration:
        """The integration's functions. Raises `ImportError` and what its modules raise."""
        module = importlib.import_module(self.package)
        code = getattr(module, "integration", None)
        if not isinstance(code, Integration):
            message = f"{self.package} has no `integration = Integration(...)` in its __init__.py"
            raise ImportError(message)  # noqa: TRY004 - it is what an unusable module raises
        return code

    def sandbox(self) -> type[Sandbox] | None:
        """Return the class of the vendor's stand-in, or None when the folder has none."""
        if not self.folder.joinpath("sandbox.py").is_file():
            return None
        found = importlib.import_module(f"{self.package}.sandbox").Sandbox
        return found if issubclass(found, Sandbox) else None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A folder or an entry point that cannot be used, and why."""

    id: str
    package: str
    reason: str


class Registry(Mapping[str, Available]):
    """Every integration found, by id. What cannot be used is in `unavailable`, never hidden."""

    def __init__(self, found: list[Available], unavailable: list[Unavailable]) -> None:
        self._found = {item.id: item for item in found}
        self.unavailable = tuple(unavailable)

    def __getitem__(self, name: str) -> Available:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._found))

    def __len__(self) -> int:
        return len(self._found)

    def checked(self) -> Registry:
        """Import every integration's code now; what fails becomes unavailable with its reason."""
        good: list[Available] = []
        bad = list(self.unavailable)
        for item in self._found.values():
            fault = _fault(lambda item=item: item.code)  # type: ignore[misc]
            if fault is None:
                good.append(item)
            else:
                bad.append(Unavailable(item.id, item.package, fault))
        return Registry(good, bad)


def load_manifest(folder: Traversable) -> Manifest:
    """Read and check `manifest.json`.

    Raises `ValueError` with the file and the field (msgspec's path, such as
    `$.sends.actions[...].once`) when it is missing, not JSON, or not a manifest.
    """
    file = folder.joinpath("manifest.json")
    try:
        return msgspec.json.decode(file.read_bytes(), type=Manifest)
    except FileNotFoundError:
        message = "manifest.json is missing"
        raise ValueError(message) from None
    except msgspec.DecodeError as error:
        message = f"manifest.json: {error}"
        raise ValueError(message) from None


def discover(extra: tuple[tuple[str, Path], ...] = ()) -> Registry:
    """Find every integration: folders of `integrations/`, entry points, and `extra` pairs.

    `extra` is (package name, folder), for a folder under development that is not installed.
    """
    packages: list[tuple[str, str, Traversable | None]] = []
    root = resources.files("integrations")
    packages += [
        (entry.name, f"integrations.{entry.name}", entry)
        for entry in sorted(root.iterdir(), key=lambda entry: entry.name)
        if entry.is_dir() and re.fullmatch(r"[a-z][a-z0-9_]*", entry.name)
    ]
    packages += [
        (point.name, point.value.partition(":")[0], None)
        for point in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    ]
    packages += [(folder.name, package, folder) for package, folder in extra]
    found: dict[str, Available] = {}
    unavailable: list[Unavailable] = []
    for name, package, folder in packages:
        try:
            place = folder if folder is not None else resources.files(package)
            manifest = load_manifest(place)
        except (ValueError, ImportError, OSError) as error:
            unavailable.append(Unavailable(name, package, str(error)))
            continue
        if manifest.id != name:
            reason = f"manifest.json says id {manifest.id!r}, the folder or entry point is {name!r}"
            unavailable.append(Unavailable(name, package, reason))
        elif manifest.id in found:
            reason = f"{found[manifest.id].package} already provides {manifest.id!r}"
            unavailable.append(Unavailable(name, package, reason))
        else:
            found[manifest.id] = Available(manifest, package, place)
    return Registry(list(found.values()), unavailable)


def _fault(load: Callable[[], object]) -> str | None:
    try:
        load()
    except Exception as error:  # noqa: BLE001 - a contributor's module may raise anything
        return f"{type(error).__name__}: {error}"
    return None
