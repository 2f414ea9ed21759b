"""Where the stand-ins listen and keep what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Settings of the sandbox. Without `state` a restart forgets everything."""

    host: str = "127.0.0.1"
    port: int = 8099
    state: Path | None = None
    """The JSON file that holds everything; its folder is made when it is missing."""
