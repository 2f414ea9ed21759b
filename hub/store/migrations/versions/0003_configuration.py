"""One number that rises with every change of connections and routes; failed events are found.

Routing reads it together with its events, and reads the configuration again when it has risen: a
route is met by every event that comes after it was saved, whichever process saved it.

The index holds up writing for the time it takes to read the events once; senders are answered 503
for longer than a minute of it, and send again.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table configuration (
        only_one boolean primary key default true check (only_one),
        revision bigint not null default 1
    )
    """,
    "insert into configuration default values",
    """
    create function configuration_changed() returns trigger language plpgsql as $$
    begin
        update configuration set revision = revision + 1;
        return null;
    end
    $$
    """,
    """
    create trigger routes_changed after insert or update or delete on routes
    for each statement execute function configuration_changed()
    """,
    # Not what traffic itself changes: counters, times, the parking of a rate limit.
    """
    create trigger connections_changed after insert or delete or update of
        name, integration, key, config, secrets, account, dedicated_account, state on connections
    for each statement execute function configuration_changed()
    """,
    "create index events_failed on events (id) where state = 'failed'",
)


def upgrade() -> None:
    """Create the number and what raises it."""
    for statement in STATEMENTS:
        op.execute(statement)
