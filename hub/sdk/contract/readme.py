"""Check that a person is told how to connect it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.sdk.contract.subject import Fault, Subject


def check(subject: Subject) -> Iterator[Fault]:
    """Find a missing README.md and missing or empty sections of it."""
    file = subject.folder.joinpath("README.md")
    if not file.is_file():
        yield Fault("README.md", "is missing", "Say how a person connects it, screen by screen")
        return
    wanted = ["Connect", "Limits"]
    wanted += ["What comes in"] if subject.manifest.receives else []
    wanted += ["What it can do"] if subject.manifest.sends else []
    parts = re.split(r"^## +(.+?) *$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {name.casefold(): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    for name in wanted:
        if not sections.get(name.casefold(), "").strip():
            yield Fault("README.md", f"has no section `## {name}`", "Write it")
