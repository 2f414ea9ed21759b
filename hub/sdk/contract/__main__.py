"""Print the findings of `python -m hub.sdk.contract [id …]`; exit code 1 when there are any."""

from __future__ import annotations

import sys

from hub.sdk.contract import check
from hub.sdk.registry import discover


def main(ids: list[str]) -> int:
    """Check the integrations named, or all, and return the exit code."""
    registry = discover()
    found = check(registry, ids)
    for finding in found:
        sys.stdout.write(f"{finding}\n")
    checked = len(ids) or len(registry) + len(registry.unavailable)
    sys.stdout.write(f"{checked} checked, {len(found)} findings\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
