"""Turn a connection's waiting webhooks into events, in the order they were committed."""

from __future__ import annotations

import logging

from hub.sdk import json
from hub.sdk.errors import MalformedPayload, UnsupportedEvent, WrongEndpoint
from hub.sdk.events import Event
from hub.sdk.http import InboundRequest
from hub.sdk.integration import Context, Inbound
from hub.sdk.schemas import subject_of, validate_data
from hub.sdk.visibility import to_plain
from hub.store import webhooks
from hub.store.connections import Connection, Connections
from hub.store.locks import STAGES, holding
from hub.store.pool import Database

_log = logging.getLogger(__name__)
_REASON_LIMIT = 2000


async def normalize_waiting(
    database: Database, connections: Connections, connection: Connection, *, limit: int = 100
) -> int:
    """Normalize up to `limit` webhooks of a connection; returns how many were taken.

    One webhook's fault ends that webhook only. Raises `StoreAway`.
    """
    available = connections.registry.get(connection.integration)
    inbound = None if available is None else available.code.inbound
    if inbound is None or not connection.runs:
        return 0
    async with holding(database, STAGES.normalize, connection.id) as session:
        waiting = await webhooks.waiting(session, connection.id, limit)
        if waiting:
            ended = [normalize_one(inbound, connection, webhook) for webhook in waiting]
            await webhooks.end(session, connection.id, ended)
        return len(waiting)


def normalize_one(
    inbound: Inbound, connection: Connection, webhook: webhooks.Webhook
) -> webhooks.Ended:
    """Run the integration's pure functions on one webhook, and say how it ended."""
    request = InboundRequest(
        path=webhook.path, query=webhook.query, headers=webhook.headers, body=webhook.body
    )
    context = Context(
        connection=connection.name,
        config=connection.config,
        received_at=webhook.received_at,
        account=connection.account,
    )
    events: list[Event] = []
    unsupported: list[str] = []
    try:
        for envelope in inbound.envelopes(request, context):
            try:
                events += inbound.normalize(envelope, context)
            except UnsupportedEvent as error:
                unsupported.append(str(error))
        kept = tuple(_checked(event) for event in events)
    except (MalformedPayload, WrongEndpoint) as error:
        return _ended(webhook, "failed", str(error))
    except Exception as error:  # noqa: BLE001 - a contributor's code; logged and told
        _log.exception("normalizing wh_%s of %s failed", webhook.id, connection.name)
        reason = f"the integration {connection.integration!r} has a fault: {type(error).__name__}: {error}"
        return _ended(webhook, "failed", reason)
    if kept:
        return _ended(webhook, "processed", "; ".join(unsupported), kept)
    reason = "; ".join(unsupported) or "understood, and of no use to any route"
    return _ended(webhook, "ignored", reason)


def _ended(
    webhook: webhooks.Webhook, state: str, reason: str, events: tuple[webhooks.NewEvent, ...] = ()
) -> webhooks.Ended:
    return webhooks.Ended(
        webhook_id=webhook.id,
        day=webhook.day,
        state=state,
        reason=json.clean_text(reason)[:_REASON_LIMIT],
        events=events,
    )


def _checked(event: Event) -> webhooks.NewEvent:
    plain = to_plain(event.data)
    faults = validate_data(event.type, plain)
    if faults:
        path, _, problem = faults[0].partition(": ")
        raise MalformedPayload(f"{event.type} {path}", "a valid event", problem)
    return webhooks.NewEvent(
        type=event.type,
        subject=subject_of(event.subject),
        time=event.time,
        data=json.dumps(event.data),
    )
