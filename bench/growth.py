"""Throughput as things grow: routes, connections, history, a backlog; each beside a small hub."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import uvloop

from bench import rig
from bench.load import through
from bench.report import memory, picture, spread, table

_EVENTS = 1500
_DAY = "(now() at time zone 'utc')::date"

Grow = Callable[[rig.Hub, int, list[str]], None]


def growth(runs: int, _: float) -> list[str]:
    """Grow one hub step by step, and flood it and a small one in turn."""
    lines = [
        "## Growth", "",
        (f"End to end ({_EVENTS:,} webhooks a run) on a hub that has grown, over a small one in the same "
        "minute."), "",
    ]  # fmt: skip
    curves: dict[str, list[tuple[float, float]]] = {}
    for what, grow, steps, asked in (
        ("routes", _routes, (10, 100, 1000), 0.7),
        ("connections", _connections, (10, 100, 1000), 0.9),
        ("connections, all busy", _connections, (10, 100, 1000), None),
        ("rows of history", _history, (500_000, 5_000_000), 0.9),
        ("waiting deliveries", _backlog, (100_000, 500_000, 1_000_000), 0.9),
    ):
        rows, points = _curve(what, grow, steps, runs)
        wanted = "" if asked is None else f"; asked at the most: {asked}"
        lines += [f"### {what.capitalize()}{wanted}", "", *rows]
        curves[what] = points
    lines += [
        picture("growth", "Throughput as things grow", curves, x="how many", y="of a small hub's",
                log=True), "",
    ]  # fmt: skip
    return lines


def _curve(
    what: str, grow: Grow, steps: tuple[int, ...], runs: int
) -> tuple[list[str], list[tuple[float, float]]]:
    rows, points = [], [(1.0, 1.0)]
    with rig.hub() as small, rig.hub(HUB_MAX_WAITING="2000000") as grown:
        small_paths, paths = [small.jira()], [grown.jira()]
        small.out()
        grown.out()
        done = 0
        for step in steps:
            grow(grown, step - done, paths)
            done = step
            used = paths if "busy" in what else paths[:1]
            ratios, rates = [], []
            for run in range(runs + 1):
                base = _flood(small, small_paths)
                mine = _flood(grown, used)
                if run:
                    ratios.append(mine / base)
                    rates.append(mine)
            points.append((float(step), statistics.median(ratios)))
            sizes = grown.memory()
            rows.append([
                f"{step:,}", f"{statistics.median(rates):,.0f}", spread(ratios),
                memory({kind: sizes[kind] for kind in ("web", "worker")}),
            ])  # fmt: skip
    return table(f"{what} | events /s | of the small hub's | memory, MiB (PSS)", rows), points


def _flood(hub: rig.Hub, paths: list[str]) -> float:
    base = hub.take(_EVENTS)
    sent = uvloop.run(through(hub.port, hub.sink_port, paths, count=_EVENTS, base=base))
    if sent.bad:
        message = f"{sent.bad} of {_EVENTS} events did not arrive"
        raise RuntimeError(message)
    return sent.rate


def _routes(hub: rig.Hub, more: int, _: list[str]) -> None:
    """Add routes of which most do not match: other events, other connections, other values."""
    there = len(hub.api("GET", "/routes?limit=1")["items"]) and hub.sql(
        "select count(*) from routes"
    )
    kinds = (
        ("feedback.received", "data.language"), ("conversation.replied", "data.customer.email"),
        ("work_item.status_changed", "data.project"),
    )  # fmt: skip
    for n in range(there, there + more):
        kind, place = kinds[n % 3]
        hub.api(
            "POST", "/routes?vendor_check=false",
            {"name": f"other-{n}", "on": [kind], "when": f"{place} == 'P{n}'", "steps": [
                {"name": "post", "connection": "sink", "action": "send",
                 "inputs": {"document": {"n": "{{ event.id }}"}}}]},
        )  # fmt: skip


def _connections(hub: rig.Hub, more: int, paths: list[str]) -> None:
    there = len(paths)
    paths += [hub.jira(f"jira-{n}") for n in range(there, there + more)]


def _history(hub: rig.Hub, more: int, _: list[str]) -> None:
    """Add ended webhooks with all they led to, in the period that is in use: the hardest case."""
    count = more // 5
    series = f"generate_series(1, {count})"
    hub.sql(
        f"create temp table h as select nextval('webhooks_id_seq') as w, nextval('events_id_seq') as e, "
        f"nextval('deliveries_id_seq') as d, g, (select id from connections where name = 'jira') as c, "
        f"(select id from connections where name = 'sink') as s from {series} g",
        f"insert into webhooks (id, day, connection_id, dedupe_key, headers, body, state, finished_at, received_at) "
        f"select w, {_DAY}, c, 'old-' || w, '{{}}', convert_to(repeat('x', 600), 'utf8'), 'processed', now(), now() - interval '1 hour' from h",
        f"insert into seen select c, 'old-' || w, w, {_DAY} from h",
        f"insert into events (id, day, webhook_id, ordinal, connection_id, type, subject, time, data, state, created_at, routed_at) "
        f"select e, {_DAY}, w, 0, c, 'work_item.status_changed', 'jira/issue/' || g % 50000, now(), "
        f"'{{\"refs\":[],\"key\":\"APP-1\"}}', 'routed', now() - interval '1 hour', now() from h",
        f"insert into deliveries (id, day, event_id, route_id, route, route_version, step, connection_id, action, lane, inputs, state, finished_at) "
        f"select d, {_DAY}, e, 1, 'out', 1, 'post', s, 'send', 'x/' || g % 50000, '{{}}', 'delivered', now() from h",
        f"insert into attempts (day, delivery_id, number, worker, finished_at, outcome, status) "
        f"select {_DAY}, d, 1, 'w', now(), 'delivered', 200 from h",
        f"insert into writes (delivery_id, day, connection_id, target, action, route, at) "
        f"select d, {_DAY}, s, 'issue/' || g % 50000, 'send', 'out', now() - interval '1 hour' from h",
        "vacuum analyze", "checkpoint", "select 1",
    )  # fmt: skip


def _backlog(hub: rig.Hub, more: int, _: list[str]) -> None:
    """Add deliveries that wait for a destination that is away, ten in each lane."""
    if not hub.sql("select count(*) from connections where name = 'away'"):
        hub.api(
            "POST", "/connections",
            {"name": "away", "integration": "webhook", "config": {
                "url": f"http://127.0.0.1:{rig.free_port()}", "signature": {"scheme": "none"}}},
        )  # fmt: skip
    hub.sql(
        f"create temp table b as select nextval('deliveries_id_seq') as d, nextval('events_id_seq') as e, g, "
        f"(select id from connections where name = 'away') as c from generate_series(1, {more}) g",
        f"insert into deliveries (id, day, event_id, route_id, route, route_version, step, connection_id, action, lane, inputs, state) "
        f"select d, {_DAY}, e, 1, 'other', 1, 'post', c, 'send', 'l/' || e / 10, '{{\"document\": \"{{}}\"}}', 'pending' from b",
        f"insert into lanes (connection_id, lane, day) select distinct c, 'l/' || e / 10, {_DAY} from b on conflict do nothing",
        "vacuum analyze", "checkpoint", "select 1",
    )  # fmt: skip
