"""How Intercom's things are referred to: the same by webhooks and by the answers to actions."""

from __future__ import annotations

from hub.sdk.events import Ref

SYSTEM = "intercom"


def ref(kind: str, thing_id: str, *, key: str = "", url: str = "") -> Ref:
    """Refer to a conversation, ticket, contact or comment by Intercom's id.

    A conversation's id is also what people call it by, and what stands in its address.
    """
    if kind == "conversation":
        key = thing_id
    return Ref(system=SYSTEM, kind=kind, id=thing_id, key=key, url=url)
