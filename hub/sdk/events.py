"""The shared schema as typed structs. `schemas/*.json` is generated from this file.

An integration builds `Event(time=..., subject=..., data=WorkItemCreated(...))`; the event's type
is the data's type. The core adds the CloudEvents attributes that only it can know (`id`,
`source`) and stores the document of `hub.sdk.schemas.cloudevent`.

Three kinds of string, so that private words stay private (see `hub.sdk.visibility`):

- `Word`: a name or code with no free text in it (a status, a key, an address). May be shown to
  anyone.
- `Text`: free text with its visibility.
- `str`: free text without a label. Counts as private when an action reaches a customer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

Word: TypeAlias = Annotated[str, Meta(max_length=2000, extra_json_schema={"x-word": True})]
Visibility: TypeAlias = Literal["public", "team", "private"]
FeedbackKind: TypeAlias = Literal["bug", "idea", "question", "praise", "other"]
StatusCategory: TypeAlias = Literal["todo", "in_progress", "done", "canceled"]
ActorKind: TypeAlias = Literal["user", "customer", "bot", "system", "unknown"]


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of an event: immutable, compared by value, misspelt fields refused."""


class Text(_Value, frozen=True, kw_only=True):
    """Free text as Markdown, with who may read it."""

    text: Annotated[str, Meta(description="Markdown")]
    visibility: Annotated[
        Visibility,
        Meta(
            description=(
                "`public`: the customer may read it. `team`: everybody in the company. `private`: "
                "only the people the source tool shows it to."
            )
        ),
    ] = "private"


class Ref(_Value, frozen=True, kw_only=True):
    """A reference to one thing in one tool: a node of the link graph."""

    system: Annotated[Word, Meta(description="The integration's id, such as `jira`")]
    kind: Annotated[Word, Meta(description="What it is there, such as `issue` or `conversation`")]
    id: Annotated[
        Word,
        Meta(description="The tool's own lasting id; may be empty when only `key` is known"),
    ] = ""
    key: Annotated[Word, Meta(description="The name people use, such as `APP-12`; may change")] = ""
    url: Annotated[Word, Meta(description="Where a person opens it")] = ""


class Actor(_Value, frozen=True, kw_only=True):
    """Who did it, in the words of the tool it happened in."""

    kind: ActorKind = "unknown"
    id: Annotated[Word, Meta(description="The tool's own id of the person or app")] = ""
    name: str = ""
    email: str = ""


class Customer(_Value, frozen=True, kw_only=True):
    """The person outside the company whom the event is about, as far as the tool knows."""

    id: Annotated[Word, Meta(description="The id in the tool the event came from")] = ""
    external_id: Annotated[Word, Meta(description="The id in the team's own product")] = ""
    email: str = ""
    name: str = ""
    company: str = ""
    plan: Word = ""


class Score(_Value, frozen=True, kw_only=True):
    """A rating with its scale, so that 3 of 10 and 3 of 5 are not the same."""

    value: float
    min: float
    max: float
    kind: Annotated[
        Literal["nps", "csat", "ces", "stars", "scale"],
        Meta(description="`nps` is 0 to 10, -100 to 100 only as a group's result"),
    ] = "scale"


class Status(_Value, frozen=True, kw_only=True):
    """A status as the tool names it, and what it means anywhere."""

    name: Word
    category: StatusCategory


class Change(_Value, frozen=True, kw_only=True):
    """One field that changed. Empty text stands for "was not set"."""

    field: Word
    before: str = ""
    after: str = ""


class Answer(_Value, frozen=True, kw_only=True):
    """One answer of a survey. `value` is typed by `type`."""

    id: Annotated[Word, Meta(description="The question's lasting reference in the survey tool")]
    question: str
    type: Annotated[
        Literal[
            "text", "number", "score", "boolean", "choice", "choices", "date", "email", "phone",
            "url", "file", "payment", "ranking", "matrix", "other",
        ],
        Meta(description="How to read `value`"),
    ]  # fmt: skip
    value: Annotated[
        str | float | bool | tuple[str, ...] | dict[str, str | float | bool] | None,
        Meta(
            description="Text, number, truth, list of labels, or labels by row; none when skipped"
        ),
    ] = None
    score: Score | None = None


class Data(_Value, frozen=True, kw_only=True):
    """What every event's data carries: who did it, and the things it is about."""

    type: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    actor: Actor = Actor()
    refs: Annotated[
        tuple[Ref, ...],
        Meta(description="The things it is about, the subject first"),
    ] = ()


class _Feedback(Data, frozen=True, kw_only=True):
    kind: FeedbackKind = "other"
    title: Text
    body: Text = Text(text="")
    rating: Score | None = None
    channel: Annotated[
        Word, Meta(description="Where it was said: chat, email, survey, review …")
    ] = ""
    customer: Customer = Customer()
    url: Word = ""
    tags: tuple[Word, ...] = ()
    language: Annotated[Word, Meta(description="BCP 47 code, such as `de`")] = ""
    attributes: Annotated[
        dict[str, str | float | bool],
        Meta(description="The tool's own custom fields, by name"),
    ] = {}


class FeedbackReceived(_Feedback, frozen=True, kw_only=True):
    """A customer reported a bug, asked for something, praised or complained."""

    type: ClassVar[str] = "feedback.received"


class FeedbackUpdated(_Feedback, frozen=True, kw_only=True):
    """A piece of feedback known before has changed: more text, another tag, another rating."""

    type: ClassVar[str] = "feedback.updated"
    changes: tuple[Change, ...] = ()


class SurveyResponded(Data, frozen=True, kw_only=True):
    """A survey was answered, in whole or in part. The parts of one response share its subject."""

    type: ClassVar[str] = "survey.responded"
    survey: Ref
    title: str = ""
    complete: bool = True
    answers: tuple[Answer, ...] = ()
    score: Annotated[
        Score | None, Meta(description="The survey's main score, if it asks for one")
    ] = None
    comment: Annotated[Text, Meta(description="The main free text")] = Text(text="")
    customer: Customer = Customer()
    channel: Word = "survey"
    url: Word = ""
    tags: tuple[Word, ...] = ()
    language: Word = ""
    attributes: dict[str, str | float | bool] = {}


class _Conversation(Data, frozen=True, kw_only=True):
    title: Text = Text(text="")
    body: Text = Text(text="")
    customer: Customer = Customer()
    channel: Word = ""
    url: Word = ""
    tags: tuple[Word, ...] = ()
    state: Annotated[
        Word, Meta(description="The tool's own state, such as open, snoozed, closed")
    ] = ""
    attributes: dict[str, str | float | bool] = {}


class ConversationOpened(_Conversation, frozen=True, kw_only=True):
    """A conversation with a customer began, or was opened again."""

    type: ClassVar[str] = "conversation.opened"


class ConversationReplied(_Conversation, frozen=True, kw_only=True):
    """Something was said in a conversation; `body.visibility` tells a reply from a note."""

    type: ClassVar[str] = "conversation.replied"


class ConversationClosed(_Conversation, frozen=True, kw_only=True):
    """A conversation was closed."""

    type: ClassVar[str] = "conversation.closed"


class ConversationRated(_Conversation, frozen=True, kw_only=True):
    """A customer rated a conversation; `body` holds the remark."""

    type: ClassVar[str] = "conversation.rated"
    rating: Score


class _WorkItem(Data, frozen=True, kw_only=True):
    key: Word
    title: Text
    kind: Annotated[Word, Meta(description="The tool's own type: Bug, Story, Task …")] = ""
    status: Status
    project: Word = ""
    priority: Word = ""
    resolution: Word = ""
    labels: tuple[Word, ...] = ()
    assignee: Actor | None = None
    reporter: Actor | None = None
    fix_versions: tuple[Word, ...] = ()
    url: Word = ""


class WorkItemCreated(_WorkItem, frozen=True, kw_only=True):
    """A piece of work was created."""

    type: ClassVar[str] = "work_item.created"
    body: Text = Text(text="")


class WorkItemUpdated(_WorkItem, frozen=True, kw_only=True):
    """Fields of a piece of work changed, but not its status."""

    type: ClassVar[str] = "work_item.updated"
    body: Text = Text(text="")
    changes: tuple[Change, ...] = ()


class WorkItemStatusChanged(_WorkItem, frozen=True, kw_only=True):
    """A piece of work moved on. Other fields may have changed with it."""

    type: ClassVar[str] = "work_item.status_changed"
    previous_status: Status | None = None
    changes: tuple[Change, ...] = ()


class WorkItemCommented(_WorkItem, frozen=True, kw_only=True):
    """Somebody commented on a piece of work."""

    type: ClassVar[str] = "work_item.commented"
    comment: Text
    comment_ref: Ref | None = None
    edited: bool = False


class WorkItemDeleted(_WorkItem, frozen=True, kw_only=True):
    """A piece of work is gone."""

    type: ClassVar[str] = "work_item.deleted"


class ReleasePublished(Data, frozen=True, kw_only=True):
    """A version went out."""

    type: ClassVar[str] = "release.published"
    name: Word
    project: Word = ""
    notes: Text = Text(text="")
    url: Word = ""
    released_on: Annotated[Word, Meta(description="A date, YYYY-MM-DD")] = ""


class UsageTracked(Data, frozen=True, kw_only=True):
    """A customer did something in the product."""

    type: ClassVar[str] = "usage.tracked"
    name: Word
    customer: Customer = Customer()
    properties: dict[str, Any] = {}
    sent_at: datetime | None = None


class CustomerIdentified(Data, frozen=True, kw_only=True):
    """What is known of a customer was told or changed."""

    type: ClassVar[str] = "customer.identified"
    customer: Customer
    traits: dict[str, Any] = {}
    tags: tuple[Word, ...] = ()


class CohortChanged(Data, frozen=True, kw_only=True):
    """Customers entered or left a cohort."""

    type: ClassVar[str] = "cohort.changed"
    cohort: Ref
    name: Word = ""
    entered: tuple[Customer, ...] = ()
    left: tuple[Customer, ...] = ()


class MetricAlerted(Data, frozen=True, kw_only=True):
    """A metric crossed a line that somebody drew."""

    type: ClassVar[str] = "metric.alerted"
    name: Word
    body: Text = Text(text="")
    value: float | None = None
    threshold: float | None = None
    url: Word = ""


class ExperimentConcluded(Data, frozen=True, kw_only=True):
    """An experiment ended with a result."""

    type: ClassVar[str] = "experiment.concluded"
    name: Word
    outcome: Text = Text(text="")
    variant: Word = ""
    url: Word = ""


class MessagePosted(Data, frozen=True, kw_only=True):
    """Somebody wrote in a team chat, or reacted there."""

    type: ClassVar[str] = "message.posted"
    body: Text
    channel: Ref
    thread: Ref | None = None
    reaction: Annotated[Word, Meta(description="The emoji's name when the event is a reaction")] = (
        ""
    )
    removed: Annotated[bool, Meta(description="The message or the reaction was taken back")] = False
    edited: bool = False
    url: Word = ""


class HubNotice(Data, frozen=True, kw_only=True):
    """What the hub has to say about itself."""

    title: Text
    body: Annotated[Text, Meta(description="What happened, and what to do about it")]
    connection: Annotated[Word, Meta(description="The connection it is about, if one")] = ""
    route: Annotated[Word, Meta(description="The route it is about, if one")] = ""
    count: Annotated[int, Meta(description="How many are affected, as far as known")] = 1
    since: Annotated[datetime | None, Meta(description="Since when it has been so")] = None


class HubDeliveryDead(HubNotice, frozen=True, kw_only=True):
    """A delivery has ended in the dead letters. One notice for a route and connection in ten minutes."""

    type: ClassVar[str] = "hub.delivery.dead"


class HubConnectionFailing(HubNotice, frozen=True, kw_only=True):
    """A connection fails again and again, or its credentials were refused."""

    type: ClassVar[str] = "hub.connection.failing"


class HubQueueStuck(HubNotice, frozen=True, kw_only=True):
    """Work has waited for too long in one stage of a connection."""

    type: ClassVar[str] = "hub.queue.stuck"


class HubLoopBroken(HubNotice, frozen=True, kw_only=True):
    """Routes wrote to each other's objects in a ring, and the breaker ended it."""

    type: ClassVar[str] = "hub.loop.broken"
    routes: Annotated[tuple[Word, ...], Meta(description="The routes of the ring, in order")] = ()


class HubSilence(HubNotice, frozen=True, kw_only=True):
    """A webhook that was expected stayed away."""

    type: ClassVar[str] = "hub.silence"


AnyData: TypeAlias = (
    FeedbackReceived | FeedbackUpdated | SurveyResponded
    | ConversationOpened | ConversationReplied | ConversationClosed | ConversationRated
    | WorkItemCreated | WorkItemUpdated | WorkItemStatusChanged | WorkItemCommented | WorkItemDeleted
    | ReleasePublished | UsageTracked | CustomerIdentified | CohortChanged | MetricAlerted
    | ExperimentConcluded | MessagePosted
    | HubDeliveryDead | HubConnectionFailing | HubQueueStuck | HubLoopBroken | HubSilence
)  # fmt: skip

DATA_TYPES: dict[str, type[Data]] = {
    data.type: data
    for data in (
        FeedbackReceived, FeedbackUpdated, SurveyResponded,
        ConversationOpened, ConversationReplied, ConversationClosed, ConversationRated,
        WorkItemCreated, WorkItemUpdated, WorkItemStatusChanged, WorkItemCommented, WorkItemDeleted,
        ReleasePublished, UsageTracked, CustomerIdentified, CohortChanged, MetricAlerted,
        ExperimentConcluded, MessagePosted,
        HubDeliveryDead, HubConnectionFailing, HubQueueStuck, HubLoopBroken, HubSilence,
    )
}  # fmt: skip
"""Every event type of the shared schema and the struct of its data."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact in the shared schema, as an integration tells it.

    `subject` is what it is about; it must be the first of `data.refs`, and is put there when
    `data.refs` is empty. `time` is the source's own time, with a zone: it decides which of two
    states is newer.
    """

    subject: Ref
    time: datetime
    data: Data

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            message = "an event's time needs a zone"
            raise ValueError(message)
        if not self.data.refs:
            data = msgspec.structs.replace(self.data, refs=(self.subject,))
            msgspec.structs.force_setattr(self, "data", data)

    @property
    def type(self) -> str:
        """The event type, such as `feedback.received`."""
        return self.data.type
