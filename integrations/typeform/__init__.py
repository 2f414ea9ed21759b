"""Typeform: survey responses in; responses looked up and webhooks registered out."""

from hub.sdk import Action, Inbound, Integration
from integrations.typeform import actions, normalize, webhook

integration = Integration(
    inbound=Inbound(
        verify=webhook.verify,
        delivery_id=webhook.delivery_id,
        envelopes=webhook.envelopes,
        normalize=normalize.table,
    ),
    actions={
        "find_response": Action(actions.find_response),
        "register_webhook": Action(actions.register_webhook, check=actions.check_form),
    },
    probe=actions.probe,
)
