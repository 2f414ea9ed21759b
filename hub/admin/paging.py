"""Lists: a page of items and the cursor of the next."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request
from msgspec import Meta

from hub.admin.needs import Needs
from hub.sdk.errors import InvalidInput
from hub.store import lists

MOST = 200
_OWN = frozenset({"cursor", "limit"})


class Page(msgspec.Struct, kw_only=True):
    """One page of a list, newest first."""

    items: list[Any]
    next: Annotated[
        str | None, Meta(description="Give it as `cursor` for the next page; null at the end")
    ]


async def page(services: Needs, request: Request[Any, Any, Any], name: str) -> Page:
    """Return the page that the request's `cursor`, `limit` and filters ask for. Raises `InvalidInput`."""
    query = request.query_params
    raw = query.get("limit", "50")
    if not raw.isdigit() or not 1 <= int(raw) <= MOST:
        raise InvalidInput("limit", f"{raw!r} is no number from 1 to {MOST}", "leave it out for 50")
    cursor = query.get("cursor")
    filters = {
        field: str(value) for field, value in query.items() if field not in _OWN and value != ""
    }
    items, more = await lists.page(
        services.database,
        name,
        filters,
        before=lists.read_cursor(cursor) if cursor else None,
        limit=int(raw),
    )
    return Page(items=items, next=None if more is None else lists.dump_cursor(more))


def number(name: str, prefix: str) -> int:
    """Read an id such as `ev_12`. Raises `InvalidInput`."""
    head, _, digits = name.partition("_")
    if head != prefix or not digits.isdigit() or len(digits) > 18:  # noqa: PLR2004 - a bigint
        raise InvalidInput("id", f"{name!r} is no id of this kind", f"ids here read {prefix}_12")
    return int(digits)
