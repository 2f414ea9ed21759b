"""The `hub` command. Tables and colour on a terminal, JSON with `--json`.

Exit codes: 0 done; 1 it ran and the answer is no (a check failed, nothing matched); 2 wrong usage;
3 the hub, its database or its settings are not to be had.
"""

from hub.cli.main import main

__all__ = ("main",)
