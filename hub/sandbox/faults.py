"""Faults that a test orders: the next requests that match are answered as no vendor should."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Kind = Literal["slow", "reset", "status", "malformed", "truncated", "redirect"]

_EFFECT: dict[Kind, bool] = {
    "slow": True,
    "reset": True,
    "status": False,
    "malformed": True,
    "truncated": True,
    "redirect": False,
}


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests a fault is for; an empty field matches every request."""

    method: str = ""
    path_contains: str = ""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """What happens to the next `times` requests that match.

    slow        the right answer, `delay` seconds late
    reset       the connection is torn down without an answer
    status      `status` (500 by default), with `retry_after` as Retry-After
    malformed   the right status and headers, and half a JSON document as a whole body
    truncated   the answer breaks off in the middle of its body
    redirect    302 (or `status`) to another address

    `handled` says whether the stand-in carries the request out first, so that it takes effect and
    the answer is lost; by default it does, except for `status` and `redirect`.
    """

    kind: Kind
    match: Match = msgspec.field(default_factory=Match)
    status: Annotated[int, Meta(ge=100, le=599)] | None = None
    retry_after: str | int | float | None = None
    delay: Annotated[float, Meta(ge=0, le=600)] = 1.0
    times: Annotated[int, Meta(ge=0)] = 1
    handled: bool | None = None

    @property
    def takes_effect(self) -> bool:
        """Whether the request is carried out before it goes wrong."""
        return _EFFECT[self.kind] if self.handled is None else self.handled

    def fits(self, method: str, path: str) -> bool:
        """Whether the fault is for this request and not used up."""
        wanted = self.match.method.upper()
        return (
            self.times > 0 and wanted in ("", method.upper()) and self.match.path_contains in path
        )


def take(faults: list[Fault], method: str, path: str) -> Fault | None:
    """Use up one time of the first fault for a request, and return that fault."""
    for fault in faults:
        if fault.fits(method, path):
            fault.times -= 1
            return fault
    return None
