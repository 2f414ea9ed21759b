"""Contacts: what is known of a person, told or changed."""

from __future__ import annotations

from hub.sdk import Context, Payload
from hub.sdk.events import Actor, Customer, CustomerIdentified, Event, Ref
from integrations.intercom.normalize import common
from integrations.intercom.refs import ref

# Fields that every contact has and that say something about the customer.
_TRAITS = (
    "role",
    "phone",
    "language_override",
    "signed_up_at",
    "last_seen_at",
    "unsubscribed_from_emails",
)


def identified(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell what is known of a contact. Of a merged contact, the one that is gone is a ref."""
    contact = common.item_of(payload)
    merged = common.identifier(contact["merged_from"]["id"])
    gone = (ref("contact", merged),) if merged else ()
    tags = common.names(contact["tags"], "tags")
    times = (contact["updated_at"], payload["created_at"])
    return _told(contact, payload, context, *times, tags=tags, gone=gone)


def tagged(payload: Payload, context: Context) -> tuple[Event, ...]:
    """Tell that a contact was tagged. Intercom names the new tag only, not the others."""
    item = common.item_of(payload)
    contact = item["contact"] or item["user"]
    by = item["admin"] or item["tag"]["applied_by"]
    times = (item["created_at"], payload["created_at"])
    tags = (item["tag"]["name"].str(),)
    return _told(contact, payload, context, *times, tags=tags, actor=common.actor(by))


def _told(
    contact: Payload,
    payload: Payload,
    context: Context,
    *times: Payload,
    tags: tuple[str, ...],
    actor: Actor | None = None,
    gone: tuple[Ref, ...] = (),
) -> tuple[Event, ...]:
    contact_id = contact["id"].id()
    place = f"apps/users/{contact_id}/all-conversations"
    url = common.address(contact, payload, context, place=place)
    subject = ref("contact", contact_id, url=url)
    custom = common.attributes(contact["custom_attributes"])
    own = {name: contact[name].raw for name in _TRAITS if contact[name] and contact[name].raw != ""}
    data = CustomerIdentified(
        refs=(subject, *gone, *common.work_items(custom, context)),
        actor=actor or Actor(),
        customer=_customer(contact),
        traits={**own, **custom},
        tags=tags,
    )
    return (Event(subject=subject, time=common.happened(context, *times), data=data),)


def _customer(contact: Payload) -> Customer:
    custom = contact["custom_attributes"]
    companies = common.names(contact["companies"], "companies")
    return Customer(
        id=contact["id"].id(),
        # Contacts were users with a `user_id` before API 2.0.
        external_id=common.identifier(contact["external_id"])
        or common.identifier(contact["user_id"]),
        email=common.words(contact["email"]),
        name=common.words(contact["name"]),
        company=companies[0] if companies else common.named(custom, "company"),
        plan=common.named(custom, "plan"),
    )
