"""What must hold when the storm is over. Every violation names the ids it is about."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.chaos.house import ROOT, House
from tests.chaos.sender import Sender
from tests.chaos.vendor import ACCOUNT, Effect, Vendor
from tests.chaos.work import WORK, Work

_AUDIT_SECONDS = 60


@dataclass
class Findings:
    """What was violated, by the promise, and the hub's own counts."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    echoed: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def all(self) -> list[str]:
        """Return every violation with its promise before it."""
        return [
            f"{name}: {text}"
            for name in ("lost", "doubled", "reordered", "echoed", "other")
            for text in getattr(self, name)
        ]


async def check(
    house: House, vendor: Vendor, sender: Sender, work: Work, replayed: set[int]
) -> Findings:
    """Compare what was acknowledged, what the hub holds, and what the vendor holds.

    `replayed` are the deliveries that were dead and sent again by hand: their place in the order
    is the moment when somebody did so.
    """
    found = Findings(other=[*house.problems, *sender.problems])
    await _webhooks(house, sender, found)
    await _audit(house, found)
    await _echoes(house, found)
    doubtful = {
        int(row["id"])
        for row in await house.fetch("select id from deliveries where maybe_duplicate")
    }
    _effects(vendor, work, doubtful, found)
    _order(vendor, work, replayed, found)
    return found


async def _webhooks(house: House, sender: Sender, found: Findings) -> None:
    """Every acknowledged webhook is there exactly once, and none still waits."""
    rows = await house.fetch(
        "select c.name, w.dedupe_key, count(*) as copies, min(w.state) as state, "
        "min(w.reason) as reason from webhooks w join connections c on c.id = w.connection_id "
        "group by 1, 2"
    )
    kept = {(row["name"], row["dedupe_key"]): row for row in rows}
    for name, key in sorted(sender.acknowledged - set(kept)):
        found.lost.append(f"webhook {key} of {name} was acknowledged and is not in the database")
    for (name, key), row in sorted(kept.items()):
        if row["copies"] > 1:
            found.doubled.append(f"webhook {key} of {name} is there {row['copies']} times")
        if row["state"] != "processed":
            text = f"webhook {key} of {name} ended {row['state']}: {row['reason']}"
            found.lost.append(text)
    for table in ("webhooks", "events", "deliveries"):
        for row in await house.fetch(f"select state, count(*) as n from {table} group by 1"):
            found.counts[f"{table} {row['state']}"] = int(row["n"])


async def _audit(house: House, found: Findings) -> None:
    """The product's own audit says that every sum holds."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")}
    env |= {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])]),
        "HUB_URL": house.addresses()[-1],
        "HUB_API_KEY": house.key,
        "HUB_DATA": str(house.data),
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hub.cli", "audit", "--json"],
            env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_AUDIT_SECONDS,
        )  # fmt: skip

    done = await asyncio.to_thread(run)
    if done.returncode != 0:
        text = done.stdout.strip() or done.stderr.strip()[-2000:]
        found.other.append(f"hub audit ended with {done.returncode}: {text}")
        return
    said: Any = json.loads(done.stdout)
    found.counts["audited"] = sum(said.get("counts", {}).get("webhooks", {}).values())


async def _echoes(house: House, found: Findings) -> None:
    """What the hub itself did was never passed on."""
    rows = await house.fetch(
        "select id, type, subject, state from events "
        "where data::json #>> '{actor,id}' = $1 and state = 'routed' order by id",
        ACCOUNT,
    )
    found.echoed += [
        f"ev_{row['id']} ({row['type']} of {row['subject']}) was done by the hub and routed"
        for row in rows
    ]


def _effects(vendor: Vendor, work: Work, doubtful: set[int], found: Findings) -> None:
    """At the vendor there is what must be there, nothing else, and once where that is promised."""
    keys = {effect.text: effect.key for effect in vendor.log if effect.kind == "issues"}
    groups: dict[str, list[Effect]] = defaultdict(list)
    for effect in vendor.log:
        groups[effect.text].append(effect)
    for text, wanted in work.expected.items():
        effects = groups.pop(text, [])
        target = keys.get(wanted.target, "?") if wanted.target in work.topics else wanted.target
        place = (wanted.connection, wanted.kind, target)
        if not effects:
            found.lost.append(f"{text!r} never came to {' '.join(place)}")
            continue
        for effect in effects:
            if (effect.connection, effect.kind, effect.target) != place:
                found.other.append(f"{_name(effect)} should be at {' '.join(place)}")
        markers = Counter(effect.delivery for effect in effects)
        if len(markers) > 1:
            found.doubled.append(f"{text!r} was done by {_ids(markers)}")
        for delivery, times in markers.items():
            if times == 1:
                continue
            if wanted.declared:
                found.doubled.append(f"{text!r} was done {times} times by dl_{delivery}")
            elif wanted.kind == "replies" and delivery not in doubtful:
                found.doubled.append(
                    f"{text!r} was said {times} times by dl_{delivery}, which does not say so"
                )
    found.echoed += [
        f"{_name(effect)} was not to be written at all"
        for effects in groups.values()
        for effect in effects
    ]


def _order(vendor: Vendor, work: Work, replayed: set[int], found: Findings) -> None:
    """In every line the first time of each effect follows the order of the events."""
    lines: dict[tuple[str, str, str], list[Effect]] = defaultdict(list)
    for effect in vendor.log:
        place = (effect.connection, effect.kind, effect.target)
        if effect.first and place in work.lines and effect.delivery not in replayed:
            lines[place].append(effect)
    for place, wanted in work.lines.items():
        rank = {text: n for n, text in enumerate(wanted)}
        effects = [effect for effect in lines[place] if effect.text in rank]
        for before, after in pairwise(effects):
            if rank[before.text] > rank[after.text] or before.delivery > after.delivery:
                found.reordered.append(
                    f"{' '.join(place)}: {_name(before)} came before {_name(after)}"
                )


async def evidence(house: House, found: Findings, *, most: int = 8) -> list[str]:
    """Return what the hub says of the deliveries that violations name: each attempt, in time."""
    named = [int(number) for text in found.all for number in re.findall(r"dl_(\d+)", text)]
    lines: list[str] = []
    for ticket in re.findall(r"'Shipped (\d+)' never", " ".join(found.lost))[:2]:
        said = await house.call("GET", f"/explain/acme/ticket/{ticket}")
        lines.append(f"ticket {ticket}: {json.dumps(said, default=str)[:6000]}")
        rows = await house.fetch(
            "select l.id, l.work_id, l.claim_id, l.origin, l.event_id, l.created_at, c.about, "
            "c.node_id, c.delivery_id, d.finished_at from links l join nodes n on n.id = l.report_id "
            "left join claims c on c.id = l.claim_id left join deliveries d on d.id = c.delivery_id "
            "where n.external_id = $1",
            ticket,
        )
        lines += [f"its link: {dict(row)}" for row in rows]
    for number in list(dict.fromkeys(named))[:most]:
        said = await house.call("GET", f"/deliveries/dl_{number}")
        lines.append(f"dl_{number}: {json.dumps(said, default=str)[:6000]}")
    return lines


def _name(effect: Effect) -> str:
    place = f"{effect.connection} {effect.kind} {effect.target or WORK}"
    return f"{effect.text!r} (effect {effect.number}, dl_{effect.delivery}, {place})"


def _ids(markers: Counter[int]) -> str:
    return " and ".join(f"dl_{delivery}" for delivery in sorted(markers))
