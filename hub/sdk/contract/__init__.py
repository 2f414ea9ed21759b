"""The contract suite: what every integration must keep, checked on every folder that is found.

Each check is a function `(Subject) -> Iterator[Fault]` that collects and never stops at the first
fault. `run` gives all findings of one integration, `check` those of many, and
`python -m hub.sdk.contract [id …]` prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from hub.sdk.contract import (
    actions,
    loads,
    manifest,
    payloads,
    purity,
    readme,
    redaction,
    samples,
    sandbox,
    signature,
)
from hub.sdk.contract.folders import registry_of
from hub.sdk.contract.guard import ImpureError
from hub.sdk.contract.subject import Fault, Finding, Sample, Subject
from hub.sdk.registry import Available, Registry

Check: TypeAlias = Callable[[Subject], Iterator[Fault]]

CHECKS: dict[str, Check] = {
    "loads": loads.check,
    "manifest": manifest.check,
    "declared": manifest.check_code,
    "purity": purity.check,
    "readme": readme.check,
    "samples": samples.check,
    "coverage": samples.check_coverage,
    "signature": signature.check,
    "payloads": payloads.check,
    "unknown": payloads.check_unknown,
    "actions": actions.check,
    "sandbox": sandbox.check,
    "redaction": redaction.check,
}
"""Every check by name, in the order in which its findings help most."""

_WITHOUT_CODE = frozenset({"loads", "manifest", "purity", "readme"})


def findings(subject: Subject, name: str) -> list[Finding]:
    """Return what one check finds. A check that trips over the integration is a finding too.

    Checks that need the code find nothing while it cannot be imported; `loads` says so once.
    Raises `KeyError` for an unknown `name`.
    """
    check = CHECKS[name]
    if name not in _WITHOUT_CODE and subject.fault:
        return []
    found: list[Finding] = []
    try:
        found.extend(Finding(subject.id, name, *fault) for fault in check(subject))
    except (Exception, ImpureError) as error:  # noqa: BLE001 - whatever the integration raised
        problem = f"the check was stopped by {type(error).__name__}: {error}"
        found.append(Finding(subject.id, name, subject.id, problem, "Correct the code it names"))
    return found


def run(available: Available) -> list[Finding]:
    """Return every finding about one integration."""
    subject = Subject(available)
    return [finding for name in CHECKS for finding in findings(subject, name)]


def check(registry: Registry, ids: Iterable[str] = ()) -> list[Finding]:
    """Return the findings about the integrations named, or about all; unusable folders included."""
    wanted = tuple(ids)
    found: list[Finding] = []
    broken = {item.id: item for item in registry.unavailable}
    for name in wanted or sorted({*registry, *broken}):
        if name in registry:
            found += run(registry[name])
        elif name not in broken:
            known = ", ".join(registry) or "none"
            found.append(
                Finding(name, "loads", name, "no such integration", f"Known ones: {known}")
            )
        if name in broken:
            place = f"{broken[name].package}/manifest.json"
            mend = "Correct it; schemas/manifest.v1.json says what a manifest holds"
            found.append(Finding(name, "loads", place, broken[name].reason, mend))
    return found


__all__ = (
    "CHECKS", "Check", "Fault", "Finding", "Sample", "Subject", "check", "findings",
    "registry_of", "run",
)  # fmt: skip
