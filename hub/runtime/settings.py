"""Every setting of the hub, from the environment: one source for laptop, containers and cluster."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from cryptography.fernet import Fernet
from msgspec import Meta

from hub.sdk.errors import HubError

PREFIX = "HUB_"
_KEY_FILE = "secret.key"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on
_SECRET = ("secret_keys", "database_url", "redis_url")
"""Fields that carry keys or passwords; their values stay out of errors and logs."""


class SettingsError(HubError):
    """A setting is wrong; the text names the variable, the fault and the mend."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's settings. Each field is the variable `HUB_<FIELD>`; lists are comma-separated."""

    data: Annotated[Path, Meta(description="Folder of the embedded servers, logs and keys")] = Path(
        ".hub"
    )
    database_url: Annotated[
        str | None, Meta(description="postgresql:// address; empty starts the embedded server")
    ] = None
    redis_url: Annotated[
        str | None,
        Meta(description="redis:// or unix:// address; empty starts the embedded server"),
    ] = None
    host: Annotated[str, Meta(description="Address the web process listens on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port of the web process")] = 8080
    sandbox_port: Annotated[
        int, Meta(ge=1, le=65535, description="Port of the stand-in vendors of `hub up --demo`")
    ] = 8090
    public_url: Annotated[
        str, Meta(description="Where vendors reach the hub; the webhook addresses begin with it")
    ] = ""
    secret_keys: Annotated[
        tuple[str, ...],
        Meta(
            description="Keys for secrets at rest, newest first; empty makes one in the data folder"
        ),
    ] = ()
    max_body_bytes: Annotated[
        int, Meta(ge=1024, description="Largest webhook taken in, in bytes")
    ] = 8 * 1024 * 1024
    workers: Annotated[int, Meta(ge=1, le=64, description="Worker processes of `hub up`")] = 1
    concurrency: Annotated[
        int, Meta(ge=2, le=1024, description="Deliveries that one worker sends at the same time")
    ] = 128
    retention_days: Annotated[
        int, Meta(ge=7, le=3650, description="Days that webhooks and what came of them are kept")
    ] = 90
    max_waiting: Annotated[
        int,
        Meta(
            ge=100,
            description="Webhooks that may wait to be normalized before new ones are answered 429",
        ),
    ] = 500_000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is logged")
    ] = "info"
    log_format: Annotated[
        Literal["console", "json"], Meta(description="For people or for a log collector")
    ] = "console"
    allow_private_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="`host` or `host:port` that outbound calls may reach though it is private"
        ),
    ] = ()
    lease_seconds: Annotated[
        float,
        Meta(ge=2, le=300, description="How long a crashed worker's deliveries wait for another"),
    ] = 8.0
    poll_seconds: Annotated[
        float,
        Meta(ge=0.001, le=5, description="How often a worker that hears of no job looks for one"),
    ] = 0.25

    def keys(self) -> tuple[str, ...]:
        """Return the keys for secrets at rest; the first use makes one in the data folder.

        Raises `SettingsError` when the data folder cannot be written.
        """
        if self.secret_keys:
            return self.secret_keys
        path = self.data / _KEY_FILE
        try:
            if not path.exists():
                self.data.mkdir(parents=True, exist_ok=True)
                _write_once(path, Fernet.generate_key())
            return tuple(path.read_text().split())
        except OSError as error:
            message = f"HUB_DATA: {path} cannot be used: {error}; choose another folder, or set HUB_SECRET_KEYS"
            raise SettingsError(message) from None

    def with_allowed(self, host: str) -> Settings:
        """Return settings that also let outbound calls reach `host`."""
        return msgspec.structs.replace(self, allow_private_hosts=(*self.allow_private_hosts, host))

    def base_url(self) -> str:
        """Return what webhook addresses begin with."""
        return self.public_url.rstrip("/") or self.local_url()

    def local_url(self, port: int | None = None) -> str:
        """Return where this machine reaches the web process, or whatever listens on `port`."""
        host = _EVERYWHERE.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port or self.port}"

    def __repr__(self) -> str:
        """Show the settings without keys and passwords."""
        shown = (f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Settings({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show the settings without keys and passwords, also in rich's tracebacks."""
        return [
            (name, "•••" if value and name in _SECRET else value)
            for name, value in msgspec.structs.asdict(self).items()
        ]


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read `HUB_*` variables; an empty one counts as not set. Raises `SettingsError`.

    `HUB_URL` and `HUB_API_KEY` belong to the command as a client and are passed over here.
    """
    values: dict[str, Any] = {}
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    for name, raw in environ.items():
        field = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or not raw.strip() or field in {"url", "api_key"}:
            continue
        if field not in fields:
            message = f"{name} is no setting of the hub; there is: {', '.join(variables())}"
            raise SettingsError(message)
        values[field] = _read(field, raw.strip())
    settings: dict[str, Any] = {}
    for field, value in values.items():
        try:
            settings[field] = msgspec.convert(
                value, fields[field].type, strict=False, dec_hook=lambda kind, item: kind(item)
            )
        except msgspec.ValidationError:
            message = (
                f"{PREFIX}{field.upper()}={value!r}: give {_wanted(field)} ({_description(field)})"
            )
            raise SettingsError(message) from None
    _check(settings)
    return Settings(**settings)


def to_environ(settings: Settings) -> dict[str, str]:
    """Return the variables that give the same settings again."""
    found: dict[str, str] = {}
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        if value in (None, (), ""):
            continue
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        found[PREFIX + field.name.upper()] = text
    return found


def variables() -> tuple[str, ...]:
    """Return the name of every variable."""
    return tuple(PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings))


def settings_table() -> str:
    """Return every setting with its default and meaning, as a Markdown table for the docs."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for field in msgspec.structs.fields(Settings):
        default = field.default
        shown = "" if default in (None, (), "") else f"`{default}`"
        lines.append(f"| `{PREFIX}{field.name.upper()}` | {shown} | {_description(field.name)} |")
    return "\n".join(lines) + "\n"


def _read(field: str, raw: str) -> Any:
    kind = get_type_hints(Settings)[field]
    return (
        tuple(part.strip() for part in raw.split(",") if part.strip())
        if kind == tuple[str, ...]
        else raw
    )


def _description(field: str) -> str:
    hints = get_type_hints(Settings, include_extras=True)[field]
    return next((str(m.description) for m in hints.__metadata__ if isinstance(m, Meta)), "")


def _wanted(field: str) -> str:
    """Say in words what a field takes."""
    kind, *metas = get_args(get_type_hints(Settings, include_extras=True)[field])
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    limits = {name: getattr(m, name) for m in metas for name in ("ge", "le")}
    text = "a whole number" if kind is int else "a number"
    if limits["le"] is None:
        return f"{text}, {limits['ge']} or more"
    return f"{text} from {limits['ge']} to {limits['le']}"


def _check(settings: Mapping[str, Any]) -> None:
    for field, schemes in (
        ("database_url", ("postgresql://", "postgres://")),
        ("redis_url", ("redis://", "rediss://", "unix://")),
        ("public_url", ("http://", "https://")),
    ):
        if value := settings.get(field):
            _check_url(PREFIX + field.upper(), value, schemes)
    for key in settings.get("secret_keys", ()):
        try:
            Fernet(key)
        except ValueError:
            message = "HUB_SECRET_KEYS: each key is 32 bytes in URL-safe base64; make one with `hub doctor --new-key`"
            raise SettingsError(message) from None
    host = settings.get("host")
    if host and host != "localhost":
        try:
            ip_address(host)
        except ValueError:
            message = f"HUB_HOST={host!r}: give an IP address, such as 127.0.0.1 or 0.0.0.0"
            raise SettingsError(message) from None


def _check_url(name: str, value: str, schemes: tuple[str, ...]) -> None:
    # The value itself is not shown: it may carry a password.
    if not value.startswith(schemes):
        message = f"{name} does not begin with {' or '.join(schemes)}: give the whole address"
        raise SettingsError(message)
    try:
        _ = urlsplit(value).port
    except ValueError:
        message = (
            f"{name}: its port is no number from 0 to 65535; write user:password@host:port, with "
            "the characters / # ? @ of a password as %2F %23 %3F %40"
        )
        raise SettingsError(message) from None


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all; the first of several wins."""
    handle, fresh = tempfile.mkstemp(dir=path.parent)  # mkstemp gives mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        Path(fresh).unlink()
