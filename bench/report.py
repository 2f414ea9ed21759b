"""How results are written: tables, medians with their spread, pictures."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent


def table(head: str, rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a Markdown table and an empty line; `head` is its columns with ` | ` between."""
    width = head.count(" | ") + 1
    lines = [f"| {head} |", "|" + "---|" * width]
    return [*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return a median and what it lies between."""
    return (
        f"**{statistics.median(values):,.{digits}f}** "
        f"({min(values):,.{digits}f} to {max(values):,.{digits}f})"
    )


def memory(found: Mapping[str, float]) -> str:
    """Return MiB by kind of process."""
    return ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(found.items()))


def picture(
    name: str, title: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str,
    log: bool = False,
) -> str:  # fmt: skip
    """Draw lines of points into `bench/<name>.svg`; returns the Markdown that shows it."""
    import matplotlib as mpl  # noqa: PLC0415 - only for the pictures

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "hub"  # the same picture from the same points
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for label, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    if log:
        axes.set_xscale("symlog")
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    if len(lines) > 1:
        axes.legend()
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    return f"![{title}]({name}.svg)"
