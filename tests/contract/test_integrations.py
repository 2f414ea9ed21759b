"""The contract suite over every integration found: a new folder is tested by being there."""

import pytest

from hub.sdk.contract import CHECKS, Subject, findings
from hub.sdk.registry import discover

REGISTRY = discover()
SUBJECTS = {name: Subject(REGISTRY[name]) for name in REGISTRY}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("integration", SUBJECTS)
def test_an_integration_keeps_the_contract(integration: str, check: str) -> None:
    found = findings(SUBJECTS[integration], check)
    assert not found, "\n".join(str(finding) for finding in found)


def test_no_integration_is_unusable() -> None:
    assert not REGISTRY.unavailable, "\n".join(map(str, REGISTRY.unavailable))
