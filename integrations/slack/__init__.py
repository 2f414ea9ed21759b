"""Slack: messages and reactions in; messages, replies, edits and reactions out."""

from hub.sdk import Action, Inbound, Integration
from integrations.slack import actions, normalize, webhook

integration = Integration(
    inbound=Inbound(
        verify=webhook.verify,
        delivery_id=webhook.delivery_id,
        envelopes=webhook.envelopes,
        normalize=normalize.table,
        reply=webhook.reply,
    ),
    actions={
        "post_message": Action(
            actions.post_message, find=actions.find_message, check=actions.check_channel
        ),
        "reply_in_thread": Action(actions.reply_in_thread, find=actions.find_reply),
        "update_message": Action(actions.update_message),
        "post_ephemeral": Action(actions.post_ephemeral, check=actions.check_channel),
        "add_reaction": Action(actions.add_reaction),
        "find_user_by_email": Action(actions.find_user_by_email),
    },
    probe=actions.probe,
)
