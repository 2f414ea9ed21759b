"""Indexes that leave the planner one way to a lane's head; room in a node's page for its next state.

Both the index by lane and the one of all that waits gave a connection's deliveries in their order.
While statistics were missing or old the second was taken for the first, and finding the head of
each lane read everything that waited before it. Its condition now says one thing more, which only
the queries that mean it ask for.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "drop index deliveries_waiting",
    """
    create index deliveries_waiting on deliveries (connection_id, id)
    where state in ('pending', 'in_flight') and id > 0
    """,
    # A work item changes its state again and again: in its own page no index needs a new entry.
    "alter table nodes set (fillfactor = 80)",
)


def upgrade() -> None:
    """Exchange the index."""
    for statement in STATEMENTS:
        op.execute(statement)
