"""One example for every event type: they stand in `schemas/*.json` and are checked against it."""

from __future__ import annotations

from typing import Any

from hub.sdk import events as e

_ISSUE = e.Ref(
    system="jira",
    kind="issue",
    id="10012",
    key="APP-12",
    url="https://acme.example/browse/APP-12",
)
_TALK = e.Ref(
    system="intercom",
    kind="conversation",
    id="215",
    url="https://app.example/conversations/215",
)
_CHANNEL = e.Ref(system="slack", kind="channel", id="C0PRODUCT", key="product-feedback")
_ANNA = e.Customer(id="c-7", external_id="u-1881", email="anna@example.com", name="Anna Berg",
                   company="Berg Optik", plan="team")  # fmt: skip
_LEE = e.Actor(kind="user", id="a-3", name="Lee Park")
_BY_ANNA = e.Actor(kind="customer", id="c-7", name="Anna Berg", email="anna@example.com")
_NPS = e.Score(value=3, min=0, max=10, kind="nps")
_WORK: dict[str, Any] = {"key": "APP-12", "title": e.Text(text="CSV export stops at 1,000 rows", visibility="team"),
         "kind": "Bug", "project": "APP", "priority": "High", "labels": ("export",), "refs": (_ISSUE,),
         "actor": _LEE, "url": _ISSUE.url}  # fmt: skip
_TODO = e.Status(name="To Do", category="todo")
_DONE = e.Status(name="Done", category="done")
_SAID: dict[str, Any] = {
    "refs": (_TALK,),
    "actor": _BY_ANNA,
    "customer": _ANNA,
    "channel": "chat",
    "url": _TALK.url,
}


def _hub(kind: str, name: str) -> e.Ref:
    return e.Ref(system="hub", kind=kind, id=name)


def _team(text: str) -> e.Text:
    return e.Text(text=text, visibility="team")


def _public(text: str) -> e.Text:
    return e.Text(text=text, visibility="public")


EXAMPLES: dict[str, e.Data] = {
    example.type: example
    for example in (
        e.FeedbackReceived(**_SAID, kind="bug", title=_public("Export stops"), tags=("export",),
                           body=_public("The CSV export stops at 1,000 rows."), language="en"),
        e.FeedbackUpdated(**_SAID, kind="bug", title=_public("Export stops"), tags=("export", "urgent"),
                          changes=(e.Change(field="tags", before="export", after="export, urgent"),)),
        e.SurveyResponded(
            refs=(e.Ref(system="typeform", kind="response", id="tok-1"),), actor=_BY_ANNA, customer=_ANNA,
            survey=e.Ref(system="typeform", kind="form", id="f-1"), title="How are we doing?", score=_NPS,
            comment=_public("The export loses rows."),
            answers=(
                e.Answer(id="nps", question="Would you recommend us?", type="score", value=3.0, score=_NPS),
                e.Answer(id="why", question="Why?", type="text", value="The export loses rows."),
            )),
        e.ConversationOpened(**_SAID, title=_public("Export stops"), body=_public("Hello!"), state="open"),
        e.ConversationReplied(refs=(_TALK,), actor=_LEE, customer=_ANNA, url=_TALK.url,
                              body=e.Text(text="Looks like APP-12.", visibility="team")),
        e.ConversationClosed(**_SAID, state="closed"),
        e.ConversationRated(**_SAID, rating=e.Score(value=5, min=1, max=5, kind="csat"),
                            body=_public("Quick and kind.")),
        e.WorkItemCreated(**_WORK, status=_TODO, body=e.Text(text="Steps: …", visibility="team")),
        e.WorkItemUpdated(**_WORK, status=_TODO,
                          changes=(e.Change(field="priority", before="Low", after="High"),)),
        e.WorkItemStatusChanged(**_WORK, status=_DONE, previous_status=_TODO, resolution="Done",
                                fix_versions=("4.2",)),
        e.WorkItemCommented(**_WORK, status=_TODO, comment=e.Text(text="Found it.", visibility="team"),
                            comment_ref=e.Ref(system="jira", kind="comment", id="77")),
        e.WorkItemDeleted(**_WORK, status=_TODO),
        e.ReleasePublished(refs=(e.Ref(system="jira", kind="version", id="9", key="4.2"),), actor=_LEE,
                           name="4.2", project="APP", notes=e.Text(text="Exports fixed.", visibility="team"),
                           released_on="2026-11-02"),
        e.UsageTracked(refs=(e.Ref(system="segment", kind="event", id="m-1"),), actor=_BY_ANNA,
                       name="export_failed", customer=_ANNA, properties={"rows": 1000}),
        e.CustomerIdentified(refs=(e.Ref(system="intercom", kind="contact", id="c-7"),), customer=_ANNA,
                             traits={"seats": 12}),
        e.CohortChanged(refs=(e.Ref(system="posthog", kind="cohort", id="4"),), name="At risk",
                        cohort=e.Ref(system="posthog", kind="cohort", id="4"), entered=(_ANNA,)),
        e.MetricAlerted(refs=(e.Ref(system="mixpanel", kind="alert", id="12"),), name="Failed exports",
                        value=41.0, threshold=20.0),
        e.ExperimentConcluded(refs=(e.Ref(system="amplitude", kind="experiment", id="3"),),
                              name="New export", variant="streamed"),
        e.MessagePosted(refs=(e.Ref(system="slack", kind="message", id="C0PRODUCT:1.2"),), actor=_LEE,
                        body=e.Text(text="Second customer with this.", visibility="team"), channel=_CHANNEL),
        e.HubDeliveryDead(refs=(_hub("delivery", "dl_12"),), title=_team("A delivery is dead: bugs/create"),
                          body=_team("HTTP 400: the field priority is unknown. Mend the route, then replay dl_12."),
                          connection="jira-main", route="bugs"),
        e.HubConnectionFailing(refs=(_hub("connection", "cn_3"),), title=_team("jira-main is failing"), count=5,
                               body=_team("Five calls in a row failed: HTTP 503."), connection="jira-main"),
        e.HubQueueStuck(refs=(_hub("queue", "deliver/cn_3"),), title=_team("Work waits at jira-main"), count=40,
                        body=_team("40 deliveries wait, the oldest for 600 s."), connection="jira-main"),
        e.HubLoopBroken(refs=(_hub("delivery", "dl_90"),), title=_team("A ring of routes was broken"),
                        body=_team("there → back write to each other's objects."), routes=("there", "back")),
        e.HubSilence(refs=(_hub("connection", "cn_2"),), title=_team("No webhook from intercom"),
                     body=_team("One was expected every 3,600 s; the last came 7,400 s ago."), connection="intercom"),
    )
}  # fmt: skip
"""Event type -> an example of its data."""
