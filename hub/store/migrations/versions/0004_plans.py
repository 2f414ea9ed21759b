"""Indexes that leave the planner one way; room in a node's page for its next state.

Several indexes could serve the queries for what waits, and while statistics were missing or old the
wrong one was taken: finding the head of each lane, or ending a delivery, read everything that waited
at the connection. Each index has a condition now that is true of every row, and that only those
queries imply which mean the index: a comparison of `lane`, of `due_at`, or `id > 0`.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "drop index deliveries_lane",
    """
    create index deliveries_lane on deliveries (connection_id, lane, id)
    where state in ('pending', 'in_flight', 'blocked') and lane is not null
    """,
    "drop index deliveries_waiting",
    """
    create index deliveries_waiting on deliveries (connection_id, id)
    where state in ('pending', 'in_flight') and id > 0
    """,
    "drop index lanes_due",
    "create index lanes_due on lanes (connection_id, due_at) where due_at is not null",
    # A work item changes its state again and again: in its own page no index needs a new entry.
    "alter table nodes set (fillfactor = 80)",
)


def upgrade() -> None:
    """Exchange the indexes."""
    for statement in STATEMENTS:
        op.execute(statement)
