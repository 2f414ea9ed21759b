"""Any tool that can send or take JSON: a mapping makes events of it, a signed POST goes out."""

from hub.sdk import Action, Inbound, Integration
from integrations.webhook import actions, config, normalize, webhook

integration = Integration(
    inbound=Inbound(
        verify=webhook.verify,
        delivery_id=webhook.delivery_id,
        envelopes=webhook.envelopes,
        normalize=normalize.table,
    ),
    actions={"send": Action(actions.send)},
    check_config=config.faults,
)
