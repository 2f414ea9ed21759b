"""Each check of the contract suite finds the fault it is there for, in a folder with just that."""

import json
import random
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.sdk.contract import CHECKS, check, registry_of, run
from hub.sdk.contract.driving import STEPS, EndlessError, drive
from hub.sdk.contract.guard import ImpureError, pure
from hub.sdk.contract.mutations import mutations
from hub.sdk.http import Request, Response
from hub.sdk.scaffold import new
from hub.sdk.signature import sign

Break = Callable[[Path], object]
SAMPLE = "samples/report.created__plain"


def text(path: str, old: str, other: str) -> Break:
    """Replace a text of a file."""

    def change(folder: Path) -> None:
        file = folder / path
        assert old in file.read_text(), f"{path} has no {old!r}"
        file.write_text(file.read_text().replace(old, other))

    return change


def added(path: str, more: str) -> Break:
    """Write more at the end of a file, which need not be there."""

    def change(folder: Path) -> None:
        file = folder / path
        file.write_text((file.read_text() if file.exists() else "") + more)

    return change


def each(*changes: Break) -> Break:
    """Do one change after another."""

    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def manifest(change: Callable[[dict[str, Any]], object]) -> Break:
    """Change the manifest."""

    def changed(folder: Path) -> None:
        file = folder / "manifest.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))

    return changed


def comment(document: dict[str, Any]) -> dict[str, Any]:
    action: dict[str, Any] = document["sends"]["actions"]["comment"]
    return action


def no_samples(folder: Path) -> None:
    (folder / SAMPLE).rename(folder / "samples" / ".away")


def resigned(folder: Path, signed: int | None = None) -> None:
    """Sign the sample again: the whole body, or its first bytes only."""
    body = (folder / SAMPLE / "body.json").read_bytes()[:signed]
    headers = json.loads((folder / SAMPLE / "headers.json").read_text())
    headers["x-acme-signature"] = "sha256=" + sign("sample-secret", body)
    (folder / SAMPLE / "headers.json").write_text(json.dumps(headers))


def secret_in_body(folder: Path) -> None:
    text(f"{SAMPLE}/body.json", "Export stops", "sample-secret stops")(folder)
    text(f"{SAMPLE}/events.json", "Export stops", "sample-secret stops")(folder)
    resigned(folder)


def unmarked(document: dict[str, Any]) -> None:
    comment(document)["audience"] = "customer"
    del comment(document)["inputs"]["properties"]["body"]["x-text"]


TELLING = """    from hub.sdk import SignatureInvalid
    if request.body.endswith(b" "):
        raise SignatureInvalid(str(request.headers))
    check(request"""

ANYTHING = """class _Anything(EventTable):
    def __call__(self, envelope, context):
        try:
            return super().__call__(envelope, context)
        except Exception as error:
            if "not supported" in str(error):
                return ()
            raise


# FILL IN: the vendor's words"""

BROKEN: dict[str, tuple[str, str, Break]] = {
    "a syntax error": ("loads", "SyntaxError", text("normalize.py", "def _rep", "dev _rep")),
    "no inbound code": (
        "loads",
        "disagree",
        text("__init__.py", "    inbound=", "    inbound=None and "),
    ),
    "a bad config schema": (
        "manifest",
        "no JSON Schema",
        manifest(lambda m: m["config"]["properties"]["api_url"].update(type="word")),
    ),
    "a rate that no setting holds": (
        "manifest",
        "no integer config field",
        manifest(lambda m: m["sends"].update(rate_limit={"setting": "api_url"})),
    ),
    "an example that is not valid": (
        "manifest",
        "examples[0]",
        manifest(lambda m: m["config"]["examples"][0].pop("api_token")),
    ),
    "no example of the config": (
        "manifest",
        "no `examples`",
        manifest(lambda m: m["config"].pop("examples")),
    ),
    "a config open to anything": (
        "manifest",
        "unknown fields",
        manifest(lambda m: m["config"].pop("additionalProperties")),
    ),
    "a field without a title": (
        "manifest",
        "no title",
        manifest(lambda m: m["config"]["properties"]["api_url"].pop("title")),
    ),
    "a secret that is no field": (
        "manifest",
        "'nope'",
        manifest(lambda m: m["receives"].update(secret="nope")),
    ),
    "a secret that is not secret": (
        "manifest",
        "not marked as a secret",
        manifest(lambda m: m["config"]["properties"]["api_token"].pop("x-secret")),
    ),
    "an address of unknown fields": (
        "manifest",
        "{site}",
        manifest(lambda m: m["sends"].update(base_url="https://{site}")),
    ),
    "an unknown shared type": (
        "manifest",
        "feedback.sent",
        manifest(lambda m: m["receives"]["events"].update({"report.created": ["feedback.sent"]})),
    ),
    "a mention that is no pattern": (
        "manifest",
        "regular expression",
        manifest(lambda m: m["receives"].update(mentions=[{"kind": "report", "key": "("}])),
    ),
    "a target that is no input": (
        "manifest",
        "'issue'",
        manifest(lambda m: comment(m)["target"].update(input="issue")),
    ),
    "a lane that is no input": (
        "manifest",
        "'issue'",
        manifest(lambda m: comment(m).update(lane=["issue"])),
    ),
    "an audience that is no input": (
        "manifest",
        "'public'",
        manifest(lambda m: comment(m).update(audience={"public": "customer", "*": "team"})),
    ),
    "customers read unmarked text": (
        "manifest",
        "x-text",
        manifest(unmarked),
    ),
    "an action without an example": (
        "manifest",
        "no `examples`",
        manifest(lambda m: comment(m)["inputs"].pop("examples")),
    ),
    "a marker nobody can find": (
        "declared",
        "no `find`",
        text("__init__.py", ", find=actions.find_comment", ""),
    ),
    "an event only in the manifest": (
        "declared",
        "report.closed",
        manifest(lambda m: m["receives"]["events"].update({"report.closed": []})),
    ),
    "an event only in the code": (
        "declared",
        "report.closed",
        text("normalize.py", "EventTable({", 'EventTable({"report.closed": _report_created, '),
    ),
    "an action only in the code": (
        "declared",
        "'remark'",
        text("__init__.py", "actions={", 'actions={"remark": Action(actions.comment), '),
    ),
    "the core imported": (
        "purity",
        "not hub.sdk",
        text("normalize.py", "from hub.sdk import C", "import hub.store\nfrom hub.sdk import C"),
    ),
    "another integration imported": (
        "purity",
        "another integration",
        text(
            "normalize.py",
            "from hub.sdk import C",
            "import integrations.typeform\nfrom hub.sdk import C",
        ),
    ),
    "I/O imported": (
        "purity",
        "reaches outside",
        text("actions.py", "from hub.sdk import (", "import os\nfrom hub.sdk import ("),
    ),
    "the clock read": (
        "purity",
        "datetime.now",
        text(
            "webhook.py",
            "    del context\n    check",
            "    from datetime import datetime\n    datetime.now()\n    check",
        ),
    ),
    "the stand-in imported": (
        "purity",
        "the stand-in",
        text("actions.py", "from hub.sdk import (", "from . import sandbox\nfrom hub.sdk import ("),
    ),
    "no README": ("readme", "is missing", lambda folder: (folder / "README.md").unlink()),
    "no limits told": ("readme", "## Limits", text("README.md", "## Limits", "## Notes")),
    "another event than expected": (
        "samples",
        'expected "idea", got "bug"',
        text(f"{SAMPLE}/events.json", '"kind": "bug"', '"kind": "idea"'),
    ),
    "an event too many": (
        "samples",
        "expected 1 events, got 2",
        text(
            "normalize.py",
            "return (Event(subject=subject, time=time, data=data),)",
            "return (Event(subject=subject, time=time, data=data),) * 2",
        ),
    ),
    "an event that breaks the schema": (
        "samples",
        "refs[0]",
        text(
            "normalize.py",
            "refs=(subject,)",
            'refs=(Ref(system="acme", kind="x", id="1"), subject)',
        ),
    ),
    "no subject": (
        "samples",
        "neither id nor key",
        text("normalize.py", 'id=report["id"].id(),', ""),
    ),
    "an undeclared shared type": (
        "samples",
        "is not declared",
        manifest(
            lambda m: m["receives"]["events"].update({"report.created": ["feedback.updated"]})
        ),
    ),
    "a clock under the guard": (
        "samples",
        "datetime.now",
        each(
            added("clock.py", "from datetime import datetime\nnow = lambda: datetime.now()\n"),
            text(
                "normalize.py",
                "from hub.sdk import C",
                "from .clock import now\nfrom hub.sdk import C",
            ),
            text("normalize.py", "    report, author", "    now()\n    report, author"),
        ),
    ),
    "state between two runs": (
        "samples",
        "other events",
        each(
            text("normalize.py", "    report, author", "    _RUNS.append(1)\n    report, author"),
            text("normalize.py", 'channel="report"', "channel=str(len(_RUNS))"),
            added("normalize.py", "\n_RUNS: list[int] = []\n"),
        ),
    ),
    "a changed payload": (
        "samples",
        "changed its payload",
        text("normalize.py", "    report, author", '    body.raw["seen"] = 1\n    report, author'),
    ),
    "a sample cut short": (
        "samples",
        "events.json is missing",
        lambda folder: (folder / SAMPLE / "events.json").unlink(),
    ),
    "no sample": ("coverage", "has no sample", no_samples),
    "a sample of another name": (
        "coverage",
        "not named for its event",
        lambda folder: (folder / SAMPLE).rename(folder / "samples" / "other__plain"),
    ),
    "a wrong signature": (
        "signature",
        "its own signature is not accepted",
        text(f"{SAMPLE}/headers.json", "sha256=", "sha256=0"),
    ),
    "any secret accepted": (
        "signature",
        "with any secret",
        text("webhook.py", "    check(request", "    if False:\n        check(request"),
    ),
    "one secret tried": (
        "signature",
        "one of them is not tried",
        text("webhook.py", "request.body, secrets,", "request.body, secrets[:1],"),
    ),
    "open without a secret": (
        "signature",
        "without a secret",
        text(
            "webhook.py",
            "    check(request",
            "    if not any(secrets):\n        return\n    check(request",
        ),
    ),
    "part of the body signed": (
        "signature",
        "of the body changed",
        each(
            text("webhook.py", "request.body, secrets", "request.body[:-4], secrets"),
            text("sandbox.py", "sign(secret, body)}", "sign(secret, body[:-4])}"),
            lambda folder: resigned(folder, -4),
        ),
    ),
    "an error of another kind": (
        "signature",
        "KeyError",
        text("webhook.py", "request.header(HEADER)", "request.headers[HEADER]"),
    ),
    "a stand-in that signs otherwise": (
        "signature",
        "verify refuses what Sandbox.sign",
        text("sandbox.py", "sign(secret, body)}", "sign(secret, body + b' ')}"),
    ),
    "a key taken for granted": (
        "payloads",
        "report.id (removed)",
        text("normalize.py", 'report["id"].id()', 'report.raw["id"]'),
    ),
    "a value taken as it is": (
        "payloads",
        "report.title",
        text("normalize.py", 'report["title"].opt_str() or ""', 'report["title"].raw or ""'),
    ),
    "any type accepted": (
        "unknown",
        "UnsupportedEvent",
        each(
            text("normalize.py", "\ntable = EventTable(", "\ntable = _Anything("),
            text("normalize.py", "# FILL IN: the vendor's words", ANYTHING),
        ),
    ),
    "an answer taken for granted": (
        "actions",
        "KeyError",
        text("actions.py", 'item["id"].id()', 'item.raw["id"]'),
    ),
    "a refusal taken for success": (
        "actions",
        "it ended in Delivered",
        text(
            "actions.py",
            "        return failed(response)\n    try:\n        return _written",
            "        return Delivered()\n    try:\n        return _written",
        ),
    ),
    "a search that cannot look": (
        "actions",
        "made twice",
        text(
            "actions.py",
            "        raise MalformedPayload(",
            "        return None\n        raise MalformedPayload(",
        ),
    ),
    "a path not quoted": (
        "actions",
        "path",
        text("actions.py", "quote(call.text('report'))", "call.text('report')"),
    ),
    "an unknown end": (
        "actions",
        "ended in NoneType",
        text(
            "actions.py",
            "        return unreadable(error)\n\n\ndef find",
            "        return None\n\n\ndef find",
        ),
    ),
    "a promise not kept": (
        "actions",
        "do not hold the marker",
        text(
            "actions.py",
            '"reference": call.marker},\n    )\n    if',
            '"reference": "x"},\n    )\n    if',
        ),
    ),
    "no stand-in": ("sandbox", "is missing", lambda folder: (folder / "sandbox.py").unlink()),
    "a stand-in that falls over": (
        "sandbox",
        "IndexError",
        text("sandbox.py", "        parts = [", '        "".split()[0]\n        parts = ['),
    ),
    "a secret in an event": ("redaction", "holds a secret", secret_in_body),
    "a secret in an error": (
        "redaction",
        "the secret or the signature",
        text(
            "webhook.py",
            "    check(request",
            TELLING,
        ),
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new("acme", tmp_path)
    return tmp_path / "acme"


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_found(fault: str, folder: Path) -> None:
    name, words, spoil = BROKEN[fault]
    spoil(folder)
    registry = registry_of(folder)
    found = run(registry["acme"])
    assert [item for item in found if item.check == name and words in str(item)], found


def test_every_check_has_a_fault_that_it_finds() -> None:
    assert {name for name, _, _ in BROKEN.values()} == set(CHECKS)


def test_a_finding_says_where_and_what_to_do(folder: Path) -> None:
    (folder / "README.md").unlink()
    (finding,) = run(registry_of(folder)["acme"])
    assert (finding.integration, finding.check, finding.place) == ("acme", "readme", "README.md")
    assert finding.mend in str(finding)


def test_a_folder_that_cannot_be_used_is_a_finding(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    registry = registry_of(folder)
    (finding,) = check(registry, ["acme"])
    assert "manifest.json" in finding.problem
    (unknown,) = check(registry, ["nobody"])
    assert unknown.problem == "no such integration"


def test_the_guard_forbids_the_world_and_is_gone_afterwards() -> None:
    kept = (socket.socket, time.time, random.random, open)
    with pure("no.package"):
        for reach in (
            socket.socket,
            time.time,
            random.random,
            lambda: open("/nowhere"),  # noqa: PTH123, SIM115
        ):
            with pytest.raises(ImpureError):
                reach()
    assert kept == (socket.socket, time.time, random.random, open)


def test_the_guard_takes_the_clock_from_a_package_and_leaves_it_dates() -> None:
    with pure(__name__):
        with pytest.raises(ImpureError, match=r"datetime\.now"):
            datetime.now(UTC)
        made = datetime(2026, 11, 2, tzinfo=UTC)
        assert isinstance(made, datetime)
        assert datetime.fromisoformat("2026-11-02T00:00:00+00:00") == made
    assert datetime.now(UTC) > datetime(2020, 1, 1, tzinfo=UTC)


def test_every_key_is_bent_and_the_document_stays() -> None:
    document = {"a": {"b": [1, "x", None]}, "c": True}
    before = json.dumps(document)
    seen = {(item.place, item.change) for item in mutations(document)}
    assert {"a", "a.b", "a.b[0]", "a.b[2]", "c"} <= {place for place, _ in seen}
    assert {("a.b", "removed"), ("a.b", "null"), ("c", "a text"), ("a.b[0]", "removed")} <= seen
    assert json.dumps(document) == before


def test_an_action_without_an_end_is_stopped() -> None:
    def endless() -> Any:
        while True:
            yield Request(method="GET", path="/")

    with pytest.raises(EndlessError, match=str(STEPS)):
        drive(endless(), lambda _: Response(status=200))
