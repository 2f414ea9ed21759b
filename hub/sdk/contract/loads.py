"""Check that the code can be imported."""

from __future__ import annotations

from collections.abc import Iterator

from hub.sdk.contract.subject import Fault, Subject


def check(subject: Subject) -> Iterator[Fault]:
    """Find code that cannot be imported, and declarations that contradict the manifest."""
    if subject.fault:
        place = f"{subject.available.package}/__init__.py"
        yield Fault(place, subject.fault, "Correct the module; no other check can run before")
        return
    if (subject.code.inbound is None) != (subject.manifest.receives is None):
        yield Fault(
            "__init__.py",
            "the manifest and the code disagree on whether there is an inbound side",
            "Give both `receives` (manifest.json) and `inbound` (__init__.py), or neither",
        )
