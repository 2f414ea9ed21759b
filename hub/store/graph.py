"""The link graph's tables: things in tools (nodes), claims on what is being created, links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from hub.store.pool import Session


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one thing in one tool. Empty parts do not overwrite what is stored."""

    connection_id: int
    kind: str
    external_id: str = ""
    key: str = ""
    url: str = ""
    title: dict[str, Any] | None = None
    customer: dict[str, Any] | None = None

    @property
    def names(self) -> tuple[tuple[int, str, str], ...]:
        """The (connection, kind, id or key) under which it can be found, the id first."""
        return tuple(
            (self.connection_id, self.kind, name) for name in (self.external_id, self.key) if name
        )


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A stored thing."""

    id: int
    connection_id: int
    kind: str
    external_id: str
    key: str
    url: str
    title: dict[str, Any] | None = None
    customer: dict[str, Any] | None = None
    status: str = ""
    category: str = ""
    changed: dict[str, str] = {}

    @property
    def label(self) -> str:
        """What people call it."""
        return self.key or self.external_id


class NewLink(msgspec.Struct, frozen=True, kw_only=True):
    """A report belongs to a work item: a known one, or the one that a claim will create."""

    report_id: int
    work_id: int | None = None
    claim_id: int | None = None
    origin: str
    event_id: int | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who creates the one thing that is about `about`."""

    id: int
    connection_id: int
    about: str
    delivery_id: int | None
    node_id: int | None


_NODE = (
    "n.id, n.connection_id, n.kind, n.external_id, n.key, n.url, n.title, n.customer, n.status, "
    "n.category, n.changed"
)
# A thing first named by its key alone takes its id when the tool tells it.
_ADOPT = """
update nodes set external_id = t.external_id
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as t (connection_id, kind, external_id, key)
where nodes.connection_id = t.connection_id and nodes.kind = t.kind and nodes.key = t.key
  and nodes.external_id = '' and nodes.key <> '' and not exists (
    select from nodes o where o.connection_id = t.connection_id and o.kind = t.kind
      and o.external_id = t.external_id)
"""
_SAVE = f"""
insert into nodes as n (connection_id, kind, external_id, key, url, title, customer)
select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::json[], $7::json[])
on conflict (connection_id, kind, external_id) where external_id <> '' do update set
    key = coalesce(nullif(excluded.key, ''), n.key),
    url = coalesce(nullif(excluded.url, ''), n.url),
    title = coalesce(excluded.title, n.title),
    customer = coalesce(excluded.customer, n.customer)
returning {_NODE}
"""  # noqa: S608 - only constants are put together
_SAVE_KEYED = """
insert into nodes (connection_id, kind, key, url)
select t.connection_id, t.kind, t.key, t.url
from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as t (connection_id, kind, key, url)
where not exists (select from nodes n where n.connection_id = t.connection_id and n.kind = t.kind and n.key = t.key)
on conflict do nothing
"""
# Two lookups by index for each name: an `or` over both columns would read every node.
_FIND = f"""
select {_NODE}, t.name from unnest($1::bigint[], $2::text[], $3::text[]) as t (connection_id, kind, name)
cross join lateral (
    select * from nodes where connection_id = t.connection_id and kind = t.kind
        and external_id = t.name and external_id <> ''
    union all
    select * from nodes where connection_id = t.connection_id and kind = t.kind
        and key = t.name and key <> ''
) n
order by (n.external_id = t.name) desc, (n.external_id <> '') desc, n.id desc
"""  # noqa: S608 - only constants are put together
_LINKED = f"""
select l.work_id as of, true as report, {_NODE}, l.id as link from links l join nodes n on n.id = l.report_id
where l.work_id = any($1::bigint[]) and l.removed_at is null
union all
select l.report_id as of, false as report, {_NODE}, l.id from links l join nodes n on n.id = l.work_id
where l.report_id = any($1::bigint[]) and l.removed_at is null
order by link
"""  # noqa: S608
_LINK = """
insert into links (report_id, work_id, claim_id, origin, event_id)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
on conflict do nothing
"""
_STATE = """
update nodes set
    status = case when s.status <> '' then s.status else nodes.status end,
    category = case when s.status <> '' then s.category else nodes.category end,
    changed = nodes.changed || s.changed
from unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[]) as s (id, status, category, changed)
where nodes.id = s.id
"""
_CLAIM = """
insert into claims (connection_id, about, delivery_id)
select * from unnest($1::bigint[], $2::text[], $3::bigint[])
on conflict (connection_id, about) do nothing
"""
# Locked, so that a claim cannot be settled between reading it here and linking what joins it.
_CLAIMS = """
select c.id, c.connection_id, c.about, c.delivery_id, c.node_id from claims c
join unnest($1::bigint[], $2::text[]) as t (connection_id, about)
  on c.connection_id = t.connection_id and c.about = t.about
order by c.id for share of c
"""
_SETTLE = """
with settled as (
    update claims c set node_id = t.node_id
    from unnest($1::bigint[], $2::bigint[]) as t (id, node_id) where c.id = t.id
    returning c.id, c.node_id
)
insert into links (report_id, work_id, claim_id, origin, event_id, removed_at)
select l.report_id, s.node_id, l.claim_id, l.origin, l.event_id, l.removed_at
from settled s join links l on l.claim_id = s.id and l.work_id is null
order by l.id on conflict do nothing
"""


async def save(session: Session, things: Iterable[Thing]) -> dict[tuple[int, str, str], Node]:
    """Store things, newest knowledge last; returns the nodes by (connection, kind, id or key).

    What is known already is only read: most events tell of things that others have told of.
    """
    things = list(things)
    found = await find(session, {name for thing in things for name in thing.names})
    merged: dict[tuple[int, str, str], Thing] = {}
    for thing in things:
        if thing.external_id:
            name = (thing.connection_id, thing.kind, thing.external_id)
            merged[name] = _merge(merged.get(name), thing)
    # Rows in one order for every worker: two that save the same things must not wait crosswise.
    with_id = [merged[name] for name in sorted(merged) if not _known(found.get(name), merged[name])]
    keyed = sorted(
        {
            t.names[0]: t
            for t in things if not t.external_id and t.key and t.names[0] not in found
        }.items()
    )  # fmt: skip
    if with_id:
        ids = [t.connection_id for t in with_id]
        kinds = [t.kind for t in with_id]
        names = [t.external_id for t in with_id]
        keys = [t.key for t in with_id]
        if any(_is_keyed(found.get((t.connection_id, t.kind, t.key))) for t in with_id):
            await session.execute(_ADOPT, ids, kinds, names, keys)
        saved = await session.fetch(
            _SAVE, ids, kinds, names, keys, [t.url for t in with_id],
            [t.title for t in with_id], [t.customer for t in with_id],
        )  # fmt: skip
        for row in saved:
            node = Node(**dict(row))
            found[node.connection_id, node.kind, node.external_id] = node
            named = (node.connection_id, node.kind, node.key)
            if node.key and (named not in found or found[named].external_id != node.key):
                found[named] = node
    if keyed:
        rows = [thing for _, thing in keyed]
        await session.execute(
            _SAVE_KEYED,
            [t.connection_id for t in rows],
            [t.kind for t in rows],
            [t.key for t in rows],
            [t.url for t in rows],
        )
        found |= await find(session, [name for name, _ in keyed])
    return found


async def find(
    session: Session, names: Iterable[tuple[int, str, str]]
) -> dict[tuple[int, str, str], Node]:
    """Return the nodes known under (connection, kind, id or key); an id wins over a key."""
    wanted = list(names)
    if not wanted:
        return {}
    rows = await session.fetch(_FIND, *map(list, zip(*wanted, strict=True)))
    found: dict[tuple[int, str, str], Node] = {}
    for row in rows:
        values = dict(row)
        name = (values["connection_id"], values["kind"], values.pop("name"))
        found.setdefault(name, Node(**values))
    return found


async def by_ids(session: Session, ids: Iterable[int]) -> dict[int, Node]:
    """Return nodes by their numbers."""
    rows = await session.fetch(
        f"select {_NODE} from nodes n where id = any($1::bigint[])",  # noqa: S608 - a constant
        list(ids),
    )
    return {row["id"]: Node(**dict(row)) for row in rows}


async def linked(
    session: Session, ids: Sequence[int]
) -> tuple[dict[int, list[Node]], dict[int, list[Node]]]:
    """Return the reports linked to work items, and the work items linked to reports.

    Each by the thing they are linked to, oldest link first.
    """
    reports: dict[int, list[Node]] = {}
    work: dict[int, list[Node]] = {}
    for row in await session.fetch(_LINKED, list(ids)):
        values = dict(row)
        del values["link"]
        kind = reports if values.pop("report") else work
        kind.setdefault(values.pop("of"), []).append(Node(**values))
    return reports, work


async def link(session: Session, links: Sequence[NewLink]) -> None:
    """Store links; one that is there already stays as it is (removed ones stay removed)."""
    if links:
        rows = [(x.report_id, x.work_id, x.claim_id, x.origin, x.event_id) for x in links]
        await session.execute(_LINK, *map(list, zip(*rows, strict=True)))


async def set_state(
    session: Session, states: Mapping[int, tuple[str, str, dict[str, datetime]]]
) -> None:
    """Store what a work item's newest state is: node -> (status, category, field -> its time)."""
    if states:
        ids = sorted(states)
        await session.execute(
            _STATE,
            ids,
            [states[n][0] for n in ids],
            [states[n][1] for n in ids],
            [{name: when.isoformat() for name, when in states[n][2].items()} for n in ids],
        )


async def claim(
    session: Session, wanted: Mapping[tuple[int, str], int]
) -> dict[tuple[int, str], Claim]:
    """Claim what is to be created: (connection, about) -> delivery. Returns who holds each claim.

    A claim that another transaction is making or settling is waited for: exactly one delivery
    creates, and who joins is linked.
    """
    if not wanted:
        return {}
    names = sorted(wanted)
    connections, abouts = map(list, zip(*names, strict=True))
    while True:
        await session.execute(_CLAIM, connections, abouts, [wanted[name] for name in names])
        rows = await session.fetch(_CLAIMS, connections, abouts)
        # One that was given up between the two statements is claimed anew.
        if len(rows) == len(names):
            return {(row["connection_id"], row["about"]): Claim(**dict(row)) for row in rows}


async def settle_claims(session: Session, nodes: Mapping[int, int]) -> None:
    """Say what claims have become (claim -> node), and complete the links that waited for them."""
    if not nodes:
        return
    claims = sorted(nodes)
    # Locked first and in order, as routing locks them: whoever joins now is seen below.
    await session.execute(
        "select from claims where id = any($1::bigint[]) order by id for update", claims
    )
    await session.execute(_SETTLE, claims, [nodes[claim_id] for claim_id in claims])
    await session.execute(
        "delete from links where claim_id = any($1::bigint[]) and work_id is null", claims
    )


async def release_claim(session: Session, claim_id: int) -> None:
    """Give a claim up whose creation will not happen; what waited for it is not linked."""
    await session.execute("select from claims where id = $1 for update", claim_id)
    await session.execute("delete from links where claim_id = $1 and work_id is null", claim_id)
    await session.execute("delete from claims where id = $1 and node_id is null", claim_id)


def _merge(old: Thing | None, new: Thing) -> Thing:
    if old is None:
        return new
    return msgspec.structs.replace(
        new,
        key=new.key or old.key,
        url=new.url or old.url,
        title=new.title or old.title,
        customer=new.customer or old.customer,
    )


def _is_keyed(node: Node | None) -> bool:
    """Whether a thing is known by its key alone."""
    return node is not None and not node.external_id


def _known(node: Node | None, thing: Thing) -> bool:
    """Whether a thing tells nothing that its node does not hold already."""
    return (
        node is not None
        and node.external_id == thing.external_id
        and thing.key in {"", node.key}
        and thing.url in {"", node.url}
        and thing.title in (None, node.title)
        and thing.customer in (None, node.customer)
    )
