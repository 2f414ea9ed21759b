"""What is sent and what takes it: Jira-shaped webhooks, floods, a steady rate, and a sink."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from hub.sdk.signature import sign

SECRET = "bench-secret"
BODY_BYTES = 2400
IN_FLIGHT = 32


def jira_body(number: int = 1, *, issue: int | None = None) -> bytes:
    """Return a Jira-shaped status change of 2.4 KB; `number` is its priority's name, which comes out as `n`."""
    issue = number if issue is None else issue
    document = {
        "timestamp": 1_762_000_000_000 + number,
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_generic",
        "user": {"accountId": "u-lee", "displayName": "Lee Park", "accountType": "atlassian"},
        "issue": {
            "id": str(10_000 + issue), "key": f"APP-{issue}", "self": "https://acme.example/rest/api/2/issue/1",
            "fields": {
                "summary": "CSV export stops", "status": {"id": "3", "name": "Done", "statusCategory": {"key": "done"}},
                "issuetype": {"name": "Bug"}, "project": {"key": "APP"}, "labels": ["export"], "priority": {"name": str(number)},
                "description": "",
            },
        },
        "changelog": {"id": "1", "items": [{"field": "status", "fieldId": "status", "fieldtype": "jira",
                      "from": "1", "fromString": "To Do", "to": "3", "toString": "Done"}]},
    }  # fmt: skip
    room = BODY_BYTES - len(json.dumps(document))
    document["issue"]["fields"]["description"] = "x" * max(0, room)
    return json.dumps(document).encode()


def request(path: str, number: int, *, issue: int | None = None) -> bytes:
    """Return one signed request, ready to be written to a socket."""
    body = jira_body(number, issue=issue)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"x-hub-signature: sha256={sign(SECRET, body)}\r\n"
        f"x-atlassian-webhook-identifier: b-{number}-{time.time_ns()}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Sent:
    """What a load gave: things done, over how many seconds, and each one's latency in seconds."""

    count: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    bad: int = 0

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds if self.seconds else 0.0

    def ms(self, share: float) -> float:
        """Return a percentile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        at = min(len(ordered) - 1, int(share * len(ordered)))
        return ordered[at] * 1000 if ordered else float("nan")


async def repeat(port: int, path: str, *, seconds: float = 4.0) -> Sent:
    """Send one body as fast as answers come; only the delivery id differs. Signed once."""
    body = jira_body()
    signature = sign(SECRET, body)
    began = time.perf_counter()
    until = began + seconds
    sent = Sent()

    async def one(worker: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = 0
        while time.perf_counter() < until:
            number += 1
            at = time.perf_counter()
            head = (
                f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                f"x-hub-signature: sha256={signature}\r\n"
                f"x-atlassian-webhook-identifier: {worker}-{number}-{began}\r\n"
                f"content-length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            if 200 <= await answer(reader) < 300:
                sent.count += 1
                sent.latencies.append(time.perf_counter() - at)
            else:
                sent.bad += 1
        writer.close()

    await asyncio.gather(*(one(worker) for worker in range(IN_FLIGHT)))
    sent.seconds = time.perf_counter() - began
    return sent


async def flood(port: int, requests: Iterable[bytes]) -> float:
    """Send requests as fast as answers come; returns the seconds until the last was acknowledged.

    Raises `RuntimeError` when one is refused.
    """
    left = iter(requests)
    began = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for item in left:
            writer.write(item)
            status = await answer(reader)
            if not 200 <= status < 300:
                message = f"a webhook was answered {status}"
                raise RuntimeError(message)
        writer.close()

    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))
    return time.perf_counter() - began


async def through(
    port: int, sink_port: int, paths: Sequence[str], *, count: int, base: int
) -> Sent:
    """Flood `count` webhooks in and wait until each has come out at the sink: `base`, `base` + 1, …"""
    async with sink(sink_port) as found:
        requests = [request(paths[n % len(paths)], base + n) for n in range(count)]
        began = time.perf_counter()
        await flood(port, requests)
        await found.wait_for(count)
        seconds = max(found.arrived.values()) - began if found.arrived else 0.0
        return Sent(len(found.arrived), seconds, bad=count - len(found.arrived))


async def steadily(
    port: int, sink_port: int, path: str, *, per_second: float, seconds: float, base: int
) -> Sent:
    """Send at a fixed rate, not waiting for answers; latencies count from the planned moment."""
    loop = asyncio.get_running_loop()
    planned: dict[int, float] = {}
    lines: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(16):
        lines.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def send(number: int) -> None:
        line = await lines.get()
        line[1].write(request(path, number))
        await answer(line[0])
        lines.put_nowait(line)

    async with sink(sink_port) as found:
        count = int(per_second * seconds)
        began = loop.time()
        shift = time.perf_counter() - began
        async with asyncio.TaskGroup() as tasks:
            for n in range(count):
                at = began + n / per_second
                await asyncio.sleep(max(0.0, at - loop.time()))
                planned[base + n] = at + shift
                tasks.create_task(send(base + n))
        await found.wait_for(count)
        took = [found.arrived[n] - at for n, at in planned.items() if n in found.arrived]
    while not lines.empty():
        lines.get_nowait()[1].close()
    return Sent(len(took), seconds, took, count - len(took))


async def answer(reader: asyncio.StreamReader) -> int:
    """Read one answer; returns its status."""
    top = await reader.readuntil(b"\r\n\r\n")
    length = _length(top)
    if length:
        await reader.readexactly(length)
    return int(top[9:12])


@dataclass
class Sink:
    """Takes POSTs in; notes when each arrived by the `n` in its body, and their order in each lane."""

    arrived: dict[int, float] = field(default_factory=dict)
    lanes: dict[str, list[int]] = field(default_factory=dict)

    async def wait_for(self, count: int, *, quiet: float = 15.0) -> None:
        """Wait until so many came, or none for `quiet` seconds."""
        seen, since = -1, time.perf_counter()
        while len(self.arrived) < count and time.perf_counter() - since < quiet:
            if len(self.arrived) != seen:
                seen, since = len(self.arrived), time.perf_counter()
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def sink(port: int, *, takes: float = 0.0) -> AsyncIterator[Sink]:
    """Serve a sink that takes so many seconds for each request."""
    found = Sink()
    writers: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                top = await reader.readuntil(b"\r\n\r\n")
                document = json.loads(await reader.readexactly(_length(top)))
                number = int(document["n"])
                found.arrived.setdefault(number, time.perf_counter())
                found.lanes.setdefault(str(document.get("lane", "")), []).append(number)
                if takes:
                    await asyncio.sleep(takes)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writers.discard(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    try:
        yield found
    finally:
        server.close()
        for writer in list(writers):
            writer.close()


def _length(top: bytes) -> int:
    lower = top.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 : lower.index(b"\r\n", at)]) if at >= 0 else 0
