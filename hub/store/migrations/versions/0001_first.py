"""The first tables: connections, routes, webhooks, events, the link graph, deliveries."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# States are text with a check: readable in every tool, and a new state is a cheap migration.
TABLES = """
create table meta (
    key text primary key,
    value text not null
);

create table api_keys (
    id bigint generated always as identity primary key,
    name text not null unique,
    role text not null check (role in ('admin', 'reader')),
    prefix text not null,
    hash bytea not null unique,
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    revoked_at timestamptz
);

create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    action text not null,
    object text not null,
    detail jsonb not null default '{}'
);
create index audit_object on audit (object, id);

create table connections (
    id bigint generated always as identity primary key,
    name text not null unique,
    integration text not null,
    key text not null unique,
    config jsonb not null default '{}',
    secrets bytea not null,
    account jsonb,
    dedicated_account boolean not null default false,
    state text not null default 'active'
        check (state in ('active', 'paused', 'auth_failed', 'removed')),
    reason text not null default '',
    parked_until timestamptz,
    refused bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table routes (
    id bigint generated always as identity primary key,
    name text not null unique,
    position integer not null,
    enabled boolean not null default true,
    version integer not null default 1,
    definition jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table webhooks (
    id bigint generated always as identity primary key,
    connection_id bigint not null references connections,
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
    unique (connection_id, dedupe_key)
);
-- A webhook of a few kilobytes stays in its row as it is: compressing it and moving it out would
-- cost more than the webhook itself.
alter table webhooks set (toast_tuple_target = 8160);
alter table webhooks alter column body set storage external;
create index webhooks_waiting on webhooks (connection_id, id) where state = 'received';
create index webhooks_failed on webhooks (id) where state = 'failed';

create table nodes (
    id bigint generated always as identity primary key,
    connection_id bigint not null references connections,
    kind text not null,
    external_id text not null default '',
    key text not null default '',
    url text not null default '',
    title json,
    customer json,
    status text not null default '',
    category text not null default '',
    changed jsonb not null default '{}',
    created_at timestamptz not null default now()
);
create unique index nodes_external on nodes (connection_id, kind, external_id)
    where external_id <> '';
create unique index nodes_key on nodes (connection_id, kind, key)
    where key <> '' and external_id = '';
create index nodes_by_key on nodes (connection_id, kind, key) where key <> '';

create table events (
    id bigint generated always as identity primary key,
    webhook_id bigint not null references webhooks on delete cascade,
    ordinal smallint not null,
    connection_id bigint not null references connections,
    type text not null,
    subject text not null,
    time timestamptz not null,
    data json not null,
    state text not null default 'waiting'
        check (state in ('waiting', 'routed', 'unmatched', 'echo', 'late', 'failed')),
    reason text not null default '',
    node_id bigint references nodes,
    echo_of bigint,
    hop smallint not null default 0,
    decisions json,
    created_at timestamptz not null default now(),
    routed_at timestamptz,
    unique (webhook_id, ordinal)
);
create index events_waiting on events (connection_id, id) where state = 'waiting';
create index events_subject on events (subject, id);
create index events_node on events (node_id, id);
create index events_created on events (created_at);

create table claims (
    id bigint generated always as identity primary key,
    connection_id bigint not null references connections,
    about text not null,
    delivery_id bigint,
    node_id bigint references nodes,
    created_at timestamptz not null default now(),
    unique (connection_id, about)
);

create table links (
    id bigint generated always as identity primary key,
    report_id bigint not null references nodes,
    work_id bigint references nodes,
    claim_id bigint references claims on delete set null,
    origin text not null
        check (origin in ('created', 'joined', 'action', 'mention', 'reference', 'manual')),
    event_id bigint,
    created_at timestamptz not null default now(),
    removed_at timestamptz,
    check (work_id is not null or claim_id is not null)
);
create unique index links_pair on links (report_id, work_id) where work_id is not null;
create unique index links_claimed on links (report_id, claim_id)
    where work_id is null and claim_id is not null;
create index links_work on links (work_id) where removed_at is null;

create table deliveries (
    id bigint generated always as identity primary key,
    event_id bigint not null references events on delete cascade,
    route_id bigint not null,
    route text not null,
    route_version integer not null,
    step text not null,
    target text not null default '',
    replay integer not null default 0,
    connection_id bigint not null references connections,
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
    once_key text,
    depends_on bigint references deliveries on delete cascade,
    claim_id bigint references claims on delete set null,
    report_id bigint references nodes,
    hop smallint not null default 0,
    uncertain boolean not null default false,
    maybe_duplicate boolean not null default false,
    result json,
    node_id bigint references nodes,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    unique (event_id, route_id, step, target, replay)
);
create unique index deliveries_once on deliveries (route_id, step, once_key)
    where once_key is not null and state <> 'skipped';
create index deliveries_lane on deliveries (connection_id, lane, id)
    where state in ('pending', 'in_flight', 'blocked');
create index deliveries_blocked on deliveries (depends_on) where state = 'blocked';
create index deliveries_dead on deliveries (id) where state = 'dead';
create index deliveries_report on deliveries (report_id) where report_id is not null;
create index deliveries_node on deliveries (node_id) where node_id is not null;

create table lanes (
    connection_id bigint not null references connections,
    lane text not null,
    due_at timestamptz not null default now(),
    owner text,
    lease_until timestamptz,
    primary key (connection_id, lane)
);
create index lanes_due on lanes (connection_id, due_at);

create table attempts (
    id bigint generated always as identity primary key,
    delivery_id bigint not null references deliveries on delete cascade,
    number integer not null,
    worker text not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    outcome text not null default 'in_flight',
    status integer,
    error text not null default '',
    calls json,
    unique (delivery_id, number)
);

create table writes (
    delivery_id bigint primary key references deliveries on delete cascade,
    connection_id bigint not null references connections,
    target text not null,
    action text not null,
    words text[] not null default '{}',
    before json,
    after json,
    at timestamptz not null default now()
);
create index writes_target on writes (connection_id, target, at);

create table written (
    connection_id bigint not null references connections,
    ref text not null,
    delivery_id bigint not null references deliveries on delete cascade,
    primary key (connection_id, ref, delivery_id)
);
"""


def upgrade() -> None:
    """Create every table."""
    for statement in TABLES.split(";"):
        if statement.strip():
            op.execute(statement)
