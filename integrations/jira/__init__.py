"""Jira Cloud: issues, comments and versions in; issues, fields, transitions and comments out."""

from hub.sdk import Action, Inbound, Integration
from integrations.jira import actions, comments, finding, normalize, webhook

integration = Integration(
    inbound=Inbound(
        verify=webhook.verify,
        delivery_id=webhook.delivery_id,
        envelopes=webhook.envelopes,
        normalize=normalize.table,
    ),
    actions={
        "create_issue": Action(
            actions.create_issue, find=finding.find_created, check=actions.check_create
        ),
        "edit_issue": Action(actions.edit_issue),
        "transition_issue": Action(actions.transition_issue),
        "add_comment": Action(comments.add_comment, find=finding.find_comment),
        "set_property": Action(comments.set_property),
        "add_remote_link": Action(comments.add_remote_link),
        "find_issue": Action(finding.find_issue),
    },
    probe=finding.probe,
)
