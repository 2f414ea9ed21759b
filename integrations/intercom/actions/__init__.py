"""What the hub does in Intercom, and whose credentials it does it with."""

from __future__ import annotations

from hub.sdk import Account, Action, Call, Probing, Request
from integrations.intercom.actions import contacts, conversations, writing
from integrations.intercom.actions.common import refused

ACTIONS = {
    "reply": Action(writing.reply, find=writing.find_reply),
    "note": Action(writing.note, find=writing.find_note),
    "tag_conversation": Action(conversations.tag),
    "close": Action(conversations.close),
    "reopen": Action(conversations.reopen),
    "set_attribute": Action(conversations.set_attribute, check=conversations.check_attribute),
    "find_contact": Action(contacts.find_contact),
    "message_contact": Action(contacts.message_contact, find=contacts.find_message),
}


def probe(call: Call) -> Probing:
    """Ask who owns the access token, and in which workspace."""
    response = yield Request(method="GET", path="/me")
    if not response.ok:
        return refused(response, call)
    me = response.payload()
    admin_id = me["id"].id()
    writer = call.setting("admin_id", admin_id)
    name = me["name"].opt_str() or me["email"].opt_str() or admin_id
    workspace = me["app"]["name"].opt_str() or ""
    return Account(
        id=admin_id,
        label=f"{name} ({workspace})" if workspace else name,
        aliases=(writer,) if writer != admin_id else (),
        workspace=me["app"]["id_code"].opt_str() or "",
    )
