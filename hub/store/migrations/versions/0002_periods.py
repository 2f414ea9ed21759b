"""The flow's tables become partitions by time, so that retention drops whole ones without locks.

What must outlive a period moves to tables of its own: `seen` (webhooks are taken once) and `once`
(a customer is told once). Foreign keys between flow tables go: a dropped partition would have to
be checked row by row, and each insert paid for them. `hub audit` looks for orphans instead.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FLOW = ("webhooks", "events", "deliveries", "attempts", "writes", "written")

TABLES = """
create table periods (
    first date primary key,
    until date not null check (until > first)
);

create table seen (
    connection_id bigint not null,
    dedupe_key text not null,
    webhook_id bigint not null,
    day date not null,
    primary key (connection_id, dedupe_key)
);
create index seen_day on seen using brin (day);

create table once (
    route_id bigint not null,
    step text not null,
    once_key text not null,
    delivery_id bigint not null,
    created_at timestamptz not null default now(),
    primary key (route_id, step, once_key)
);
create index once_delivery on once (delivery_id);

create sequence webhooks_id_seq;
create table webhooks (
    id bigint not null default nextval('webhooks_id_seq'),
    day date not null,
    connection_id bigint not null,
    dedupe_key text not null,
    received_at timestamptz not null default now(),
    path text not null default '',
    query text not null default '',
    headers json not null,
    body bytea not null,
    state text not null default 'received'
        check (state in ('received', 'processed', 'ignored', 'failed')),
    reason text not null default '',
    duplicates integer not null default 0,
    finished_at timestamptz,
    primary key (id, day)
) partition by range (day);
alter sequence webhooks_id_seq owned by webhooks.id;
alter table webhooks alter column body set storage external;
create index webhooks_waiting on webhooks (connection_id, id) where state = 'received';
create index webhooks_failed on webhooks (id) where state = 'failed';

create sequence events_id_seq;
create table events (
    id bigint not null default nextval('events_id_seq'),
    day date not null,
    webhook_id bigint not null,
    ordinal smallint not null,
    connection_id bigint not null,
    type text not null,
    subject text not null,
    time timestamptz not null,
    data json not null,
    state text not null default 'waiting'
        check (state in ('waiting', 'routed', 'unmatched', 'echo', 'late', 'failed')),
    reason text not null default '',
    node_id bigint,
    echo_of bigint,
    hop smallint not null default 0,
    decisions json,
    created_at timestamptz not null default now(),
    routed_at timestamptz,
    primary key (id, day),
    unique (webhook_id, ordinal, day)
) partition by range (day);
alter sequence events_id_seq owned by events.id;
create index events_waiting on events (connection_id, id) where state = 'waiting';
create index events_subject on events (subject, id);
create index events_node on events (node_id, id);
create index events_created on events using brin (created_at);

create sequence deliveries_id_seq;
create table deliveries (
    id bigint not null default nextval('deliveries_id_seq'),
    day date not null,
    event_id bigint not null,
    route_id bigint not null,
    route text not null,
    route_version integer not null,
    step text not null,
    target text not null default '',
    replay integer not null default 0,
    connection_id bigint not null,
    action text not null,
    lane text not null default '',
    inputs json,
    audience text not null default 'team' check (audience in ('team', 'customer')),
    state text not null
        check (state in ('blocked', 'pending', 'in_flight', 'delivered', 'skipped', 'dead')),
    reason text not null default '',
    due_at timestamptz not null default now(),
    attempts integer not null default 0,
    waits integer not null default 0,
    tries integer not null default 0,
    worker text not null default '',
    started_at timestamptz,
    once_key text,
    depends_on bigint,
    claim_id bigint,
    report_id bigint,
    hop smallint not null default 0,
    uncertain boolean not null default false,
    maybe_duplicate boolean not null default false,
    writes_to text not null default '',
    words text not null default '',
    result json,
    node_id bigint,
    replayed_at timestamptz,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    primary key (id, day),
    unique (event_id, route_id, step, target, replay, day)
) partition by range (day);
alter sequence deliveries_id_seq owned by deliveries.id;
create index deliveries_lane on deliveries (connection_id, lane, id)
    where state in ('pending', 'in_flight', 'blocked');
create index deliveries_waiting on deliveries (connection_id, id)
    where state in ('pending', 'in_flight');
create index deliveries_blocked on deliveries (depends_on) where state = 'blocked';
create index deliveries_dead on deliveries (id) where state = 'dead';
create index deliveries_unsure on deliveries (connection_id, id)
    where uncertain and writes_to like 'new/%' and state in ('pending', 'in_flight', 'dead');
create index deliveries_report on deliveries (report_id) where report_id is not null;
create index deliveries_node on deliveries (node_id) where node_id is not null;
create index deliveries_claim on deliveries (claim_id) where claim_id is not null;

create sequence attempts_id_seq;
create table attempts (
    id bigint not null default nextval('attempts_id_seq'),
    day date not null,
    delivery_id bigint not null,
    number integer not null,
    worker text not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    outcome text not null,
    status integer,
    error text not null default '',
    calls json,
    primary key (delivery_id, number, day)
) partition by range (day);
alter sequence attempts_id_seq owned by attempts.id;

create table writes (
    delivery_id bigint not null,
    day date not null,
    connection_id bigint not null,
    target text not null,
    action text not null,
    route text not null,
    hop smallint not null default 0,
    words text[] not null default '{}',
    before json,
    after json,
    at timestamptz not null default now(),
    primary key (delivery_id, day)
) partition by range (day);
create index writes_target on writes (connection_id, target, at);

create table written (
    connection_id bigint not null,
    ref text not null,
    delivery_id bigint not null,
    day date not null,
    primary key (connection_id, ref, delivery_id, day)
) partition by range (day);

drop table before_0002.lanes;
create table lanes (
    connection_id bigint not null,
    lane text not null,
    day date not null,
    due_at timestamptz not null default now(),
    owner text,
    lease_until timestamptz,
    touched integer not null default 0,
    primary key (connection_id, lane)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
create index lanes_due on lanes (connection_id, due_at);

alter table connections
    add failures integer not null default 0,
    add last_webhook_at timestamptz,
    add expect_seconds integer check (expect_seconds > 0);
alter table nodes drop constraint nodes_connection_id_fkey;
alter table claims drop constraint claims_connection_id_fkey
"""

# What was there moves over; an attempt in flight is one whose worker is gone.
COPY = """
insert into webhooks select id, (received_at at time zone 'utc')::date, connection_id, dedupe_key,
    received_at, path, query, headers, body, state, reason, duplicates, finished_at
from before_0002.webhooks;
insert into seen select connection_id, dedupe_key, id, day from webhooks;
insert into events select e.id, w.day, e.webhook_id, e.ordinal, e.connection_id, e.type, e.subject,
    e.time, e.data, e.state, e.reason, e.node_id, e.echo_of, e.hop, e.decisions, e.created_at,
    e.routed_at from before_0002.events e join webhooks w on w.id = e.webhook_id;
insert into deliveries (id, day, event_id, route_id, route, route_version, step, target, replay,
    connection_id, action, lane, inputs, audience, state, reason, due_at, attempts, waits, tries,
    once_key, depends_on, claim_id, report_id, hop, uncertain, maybe_duplicate, writes_to, words,
    result, node_id, created_at, finished_at)
select d.id, e.day, d.event_id, d.route_id, d.route, d.route_version, d.step, d.target, d.replay,
    d.connection_id, d.action, d.lane, d.inputs, d.audience, d.state, d.reason, d.due_at, d.attempts,
    d.waits, coalesce((select max(number) from before_0002.attempts a where a.delivery_id = d.id), 0),
    d.once_key, d.depends_on, d.claim_id, d.report_id, d.hop, d.uncertain, d.maybe_duplicate,
    coalesce(w.target, ''), coalesce(array_to_string(w.words, ' '), ''), d.result, d.node_id,
    d.created_at, d.finished_at
from before_0002.deliveries d join events e on e.id = d.event_id
left join before_0002.writes w on w.delivery_id = d.id;
insert into once select route_id, step, once_key, id, created_at from deliveries
where once_key is not null and state <> 'skipped';
insert into attempts select a.id, d.day, a.delivery_id, a.number, a.worker, a.started_at,
    a.finished_at, a.outcome, a.status, a.error, a.calls
from before_0002.attempts a join deliveries d on d.id = a.delivery_id where a.outcome <> 'in_flight';
insert into writes select w.delivery_id, d.day, w.connection_id, w.target, w.action, d.route, d.hop,
    w.words, w.before, w.after, w.at
from before_0002.writes w join deliveries d on d.id = w.delivery_id;
insert into written select w.connection_id, w.ref, w.delivery_id, d.day
from before_0002.written w join deliveries d on d.id = w.delivery_id;
insert into lanes (connection_id, lane, day) select connection_id, lane, min(day) from deliveries
where state in ('pending', 'in_flight') group by 1, 2;
select setval('webhooks_id_seq', coalesce((select max(id) from webhooks), 1), exists(select from webhooks));
select setval('events_id_seq', coalesce((select max(id) from events), 1), exists(select from events));
select setval('deliveries_id_seq', coalesce((select max(id) from deliveries), 1), exists(select from deliveries));
select setval('attempts_id_seq', coalesce((select max(id) from attempts), 1), exists(select from attempts));
alter table links drop constraint links_claim_id_fkey;
alter table links add constraint links_claim_id_fkey
    foreign key (claim_id) references claims on delete set null;
drop schema before_0002 cascade
"""


def upgrade() -> None:
    """Move the old tables aside, make the new ones with a first period, and copy."""
    op.execute("create schema before_0002")
    for table in (*FLOW, "lanes"):
        op.execute(f"alter table {table} set schema before_0002")
    _run(TABLES)
    op.execute(
        "insert into periods select least(today, coalesce((select (min(received_at) at time zone "
        "'utc')::date from before_0002.webhooks), today)), today + 7 "
        "from (select (now() at time zone 'utc')::date as today) t"
    )
    first, until = op.get_bind().exec_driver_sql("select first, until from periods").one()
    for table in FLOW:
        op.execute(
            f"create table {table}_{first:%Y%m%d} partition of {table} "
            f"for values from ('{first}') to ('{until}')"
            # A webhook of a few kilobytes stays in its row as it is: compressing it and moving it
            # out would cost more than the webhook itself.
            + (" with (toast_tuple_target = 8160)" if table == "webhooks" else "")
        )
    _run(COPY)


def _run(statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
