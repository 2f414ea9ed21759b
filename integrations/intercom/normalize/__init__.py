"""Intercom's topics and what each becomes in the shared schema."""

from hub.sdk import EventTable
from integrations.intercom.normalize import contacts, conversations, tickets
from integrations.intercom.normalize.common import dropped

TABLE = EventTable(
    {
        "ping": dropped,
        "conversation.user.created": conversations.begun_by_customer,
        "conversation.user.replied": conversations.replied_by_customer,
        "conversation.admin.replied": conversations.replied,
        "conversation.operator.replied": conversations.replied,
        "conversation.admin.noted": conversations.noted,
        "conversation.admin.single.created": conversations.begun_by_team,
        "conversation.admin.closed": conversations.closed,
        "conversation.admin.opened": conversations.opened_again,
        "conversation.admin.assigned": conversations.assigned,
        "conversation.admin.open.assigned": conversations.assigned,
        # The shared schema knows open and closed; a conversation that sleeps is still open.
        "conversation.admin.snoozed": dropped,
        "conversation.admin.unsnoozed": dropped,
        "conversation.rating.added": conversations.rated,
        "conversation_part.tag.created": conversations.tagged,
        "ticket.created": tickets.created,
        "ticket.state.updated": tickets.state_updated,
        "ticket.attribute.updated": tickets.attribute_updated,
        "ticket.note.created": tickets.noted,
        "ticket.contact.replied": tickets.replied,
        "ticket.admin.replied": tickets.replied,
        "contact.created": contacts.identified,
        "contact.updated": contacts.identified,
        "contact.user.created": contacts.identified,
        "contact.user.updated": contacts.identified,
        "contact.lead.created": contacts.identified,
        "contact.lead.updated": contacts.identified,
        "contact.email.updated": contacts.identified,
        "contact.merged": contacts.identified,
        "contact.tag.created": contacts.tagged,
        "contact.user.tag.created": contacts.tagged,
        "contact.lead.tag.created": contacts.tagged,
        # Topics of workspaces that were set up before 2019, when contacts were called users.
        "user.created": contacts.identified,
        "user.email.updated": contacts.identified,
        "user.tag.created": contacts.tagged,
        # The shared schema tells of people; a company alone is nobody to answer.
        "company.created": dropped,
        "company.updated": dropped,
    }
)
