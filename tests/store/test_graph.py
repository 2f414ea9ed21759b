"""Claims: who joins one while it is being settled is linked, and one given up is claimed anew."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from hub.store import graph
from hub.store.graph import Claim, NewLink, Thing
from hub.store.pool import Database, Session, transaction

_NAME = (1, "dark mode")


@pytest.fixture
async def claimed(database: Database) -> Claim:
    """A claim of one delivery."""
    return (await graph.claim(database, {_NAME: 7}))[_NAME]


async def _nodes(database: Database) -> tuple[int, int]:
    things = [
        Thing(connection_id=1, kind="ticket", external_id="t"),
        Thing(connection_id=1, kind="issue", external_id="i"),
    ]
    nodes = await graph.save(database, things)
    return nodes[1, "ticket", "t"].id, nodes[1, "issue", "i"].id


async def _join(session: Session, report: int) -> None:
    await _link(session, report, (await graph.claim(session, {_NAME: 8}))[_NAME])


async def _link(session: Session, report: int, claim: Claim) -> None:
    link = NewLink(
        report_id=report, work_id=claim.node_id, claim_id=claim.id, origin="joined", event_id=1
    )
    await graph.link(session, [link])


async def _links(database: Database) -> list[tuple[int, int | None]]:
    rows = await database.fetch("select report_id, work_id from links where removed_at is null")
    return [(row["report_id"], row["work_id"]) for row in rows]


async def _is_stuck(task: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait([task], timeout=0.3)
    return not done


async def test_who_joins_before_a_claim_is_settled_is_linked_by_the_settling(
    database: Database, claimed: Claim
) -> None:
    report, work = await _nodes(database)
    async with transaction(database) as routing:
        seen = (await graph.claim(routing, {_NAME: 8}))[_NAME]

        async def settle() -> None:
            async with transaction(database) as delivering:
                await graph.settle_claims(delivering, {claimed.id: work})

        settling = asyncio.create_task(settle())
        assert await _is_stuck(settling)
        await _link(routing, report, seen)
    await settling
    assert await _links(database) == [(report, work)]


async def test_who_joins_while_a_claim_is_settled_waits_for_what_it_becomes(
    database: Database, claimed: Claim
) -> None:
    report, work = await _nodes(database)
    async with transaction(database) as delivering:
        await graph.settle_claims(delivering, {claimed.id: work})

        async def join() -> None:
            async with transaction(database) as routing:
                await _join(routing, report)

        joining = asyncio.create_task(join())
        assert await _is_stuck(joining)
    await joining
    assert await _links(database) == [(report, work)]


async def test_a_claim_given_up_meanwhile_is_made_anew(database: Database, claimed: Claim) -> None:
    async with transaction(database) as skipping:
        await graph.release_claim(skipping, claimed.id)
        anew = asyncio.create_task(graph.claim(database, {_NAME: 8}))
        await asyncio.sleep(0.2)
    assert (await anew)[_NAME].delivery_id == 8


async def test_settling_completes_what_waited_and_keeps_what_a_person_removed(
    database: Database, claimed: Claim
) -> None:
    report, work = await _nodes(database)
    await _join(database, report)
    await database.execute("update links set removed_at = now()")
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute("update links set claim_id = null")
    async with transaction(database) as delivering:
        await graph.settle_claims(delivering, {claimed.id: work})
    assert await _links(database) == []
    assert await database.fetchval("select work_id from links") == work


async def test_a_thing_first_named_by_its_key_takes_its_id_when_the_tool_tells_it(
    database: Database,
) -> None:
    await graph.save(database, [Thing(connection_id=1, kind="issue", key="APP-1")])
    named = await graph.save(
        database, [Thing(connection_id=1, kind="issue", external_id="10", key="APP-1")]
    )
    assert named[1, "issue", "10"].id == named[1, "issue", "APP-1"].id
    assert await database.fetchval("select count(*) from nodes") == 1
