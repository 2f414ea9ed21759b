"""The command's root: what every command shares, and how errors are told in one line."""

from __future__ import annotations

import sys

import rich_click as click
from click.exceptions import Exit
from rich.console import Console

from hub import __version__
from hub.sdk.errors import HubError

_errors = Console(stderr=True, highlight=False)
UNAVAILABLE = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hub")
def cli() -> None:
    """Run the integration hub for product teams: webhooks in, one schema, routes, syncs out."""


def fail(message: str, code: int = 1) -> None:
    """End the command with one line on standard error."""
    _errors.print(f"[red]error[/red] {message}", soft_wrap=True)
    raise SystemExit(code)


def main() -> None:
    """Run the command line; every expected error is one line that names the mend."""
    try:
        cli(standalone_mode=False)
    except Exit as stop:
        raise SystemExit(stop.exit_code) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except HubError as error:
        _errors.print(f"[red]error[/red] {error}", soft_wrap=True)
        raise SystemExit(UNAVAILABLE) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


from hub.cli import demo, doctor, flow, integrations, lanes, serve  # noqa: E402 - they register commands

__all__ = ("cli", "demo", "doctor", "fail", "flow", "integrations", "lanes", "main", "serve")
