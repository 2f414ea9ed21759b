"""Intercom: conversations, tickets and contacts in; replies, notes, tags and messages out."""

from hub.sdk import Inbound, Integration
from integrations.intercom import webhook
from integrations.intercom.actions import ACTIONS, probe
from integrations.intercom.normalize import TABLE

integration = Integration(
    inbound=Inbound(
        verify=webhook.verify,
        delivery_id=webhook.delivery_id,
        envelopes=webhook.envelopes,
        normalize=TABLE,
        reply=webhook.reply,
    ),
    actions=ACTIONS,
    probe=probe,
)
