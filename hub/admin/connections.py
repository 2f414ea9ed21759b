"""Connections: create, configure, test, pause, resume, remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from jsonschema import Draft202012Validator
from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from hub.admin.needs import Needs
from hub.admin.paging import Page
from hub.admin.problems import Problem, invalid, missing
from hub.sdk.actions import Account, AuthFailed, RetryLater, Unknown
from hub.sdk.errors import InvalidInput
from hub.sdk.integration import Manifest
from hub.sdk.registry import Available
from hub.store import admin
from hub.store.connections import Connection, from_row, with_defaults
from hub.store.pool import NameTaken, Row, transaction
from hub.store.vault import MASK

NAME = "^[a-z0-9][a-z0-9-]{0,62}$"


class NewConnection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A connection to make. `config` holds the integration's fields, secrets among them."""

    name: Annotated[
        str, Meta(pattern=NAME, description="How routes call it", examples=["jira-main"])
    ]
    integration: Annotated[str, Meta(description="An integration's id", examples=["jira"])]
    config: Annotated[dict[str, Any], Meta(description="See the integration's config schema")] = {}
    dedicated_account: Annotated[
        bool,
        Meta(
            description="The credentials belong to an account that only the hub uses: whatever it does is an echo"
        ),
    ] = False


class ConnectionChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change. Fields left out stay; null removes one; a masked secret stays."""

    config: dict[str, Any] = {}
    dedicated_account: bool | None = None
    expect_seconds: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="A webhook is expected at least so often; when it stays away, the event hub.silence says so. 0 expects nothing"
        ),
    ] = None


class PauseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Why a connection is paused."""

    reason: Annotated[str, Meta(max_length=500)] = "paused by hand"


class ConnectionView(msgspec.Struct, kw_only=True):
    """A connection as it is shown. Secrets are masked."""

    id: str
    name: str
    integration: str
    state: str
    reason: str
    config: dict[str, Any]
    webhook_url: Annotated[str, Meta(description="Paste this at the vendor")]
    account: Account | None
    dedicated_account: bool
    expect_seconds: Annotated[
        int | None, Meta(description="A webhook is expected at least so often, in seconds")
    ]
    failures: Annotated[
        int, Meta(description="Failed calls in a row; from 5 on it is left alone for a while")
    ]
    parked_until: Annotated[
        Any, Meta(description="Nothing leaves before: a rate limit, or the breaker")
    ]
    previous_secrets: Annotated[
        tuple[str, ...], Meta(description="Secret fields whose older value is still accepted")
    ]
    refused: Annotated[int, Meta(description="Webhooks refused for their signature")]
    created_at: Any
    updated_at: Any
    counters: dict[str, Any] = {}


class TestResult(msgspec.Struct, kw_only=True):
    """What a test of the credentials found."""

    ok: bool
    account: Account | None = None
    failure: Annotated[str, Meta(description="cannot_connect, invalid_auth or unknown")] = ""
    detail: str = ""


class ConnectionsController(Controller):
    """Configured accounts of integrations."""

    path = "/connections"
    tags = ("connections",)

    @get(summary="List connections")
    async def list_all(self, services: Needs, limit: FromQuery[int] = 200) -> Page:
        """Return every connection that is not removed, by name."""
        services.connections.forget()
        found = await services.connections.all()
        return Page(items=[_view(services, item) for item in found[:limit]], next=None)

    @post(summary="Create a connection")
    async def create(
        self, services: Needs, request: Request[Any, Any, Any], data: JSONBody[NewConnection]
    ) -> ConnectionView:
        """Store a connection and give it its webhook address. 422 names every faulty field."""
        available = _available(services, data.integration)
        config, secret = _split(available.manifest, data.config)
        _check(available, config, secret)
        try:
            async with transaction(services.database) as session:
                made = await admin.create_connection(
                    session, name=data.name, integration=data.integration, config=config,
                    secret={k: str(v) for k, v in secret.items() if v is not None}, vault=services.vault,
                    dedicated_account=data.dedicated_account,
                )  # fmt: skip
                await admin.audit(
                    session, request.state["actor"], "connection.create", f"cn_{made}",
                    {"name": data.name, "integration": data.integration},
                )  # fmt: skip
        except NameTaken:
            fault = InvalidInput("name", f"{data.name!r} is taken", "choose another")
            raise invalid([fault], "The connection") from None
        services.connections.forget()
        return await _shown(services, data.name)

    @get("/{name:str}", summary="Show a connection")
    async def show(self, services: Needs, name: FromPath[str]) -> ConnectionView:
        """Return one connection by its name or id, with its counters."""
        return await _shown(services, name)

    @patch("/{name:str}", summary="Change a connection")
    async def change(
        self,
        services: Needs,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        data: JSONBody[ConnectionChange],
    ) -> ConnectionView:
        """Merge a change into the config. A new secret is accepted beside the one before it."""
        async with transaction(services.database) as session:
            row = await _row(session, name)
            available = _available(services, row["integration"])
            config, secret = _split(available.manifest, data.config)
            merged = {**row["config"], **config}
            merged = {field: value for field, value in merged.items() if value is not None}
            held = services.vault.open(row["secrets"])
            known = {field: values[0] for field, values in held.items() if values}
            known.update({field: value for field, value in secret.items() if value != MASK})
            _check(
                available,
                merged,
                {field: value for field, value in known.items() if value is not None},
            )
            changed = await admin.change_connection(
                session, row, config=merged, secret=secret, vault=services.vault,
                dedicated_account=data.dedicated_account, expect_seconds=data.expect_seconds,
            )  # fmt: skip
            await admin.audit(
                session, request.state["actor"], "connection.change", f"cn_{row['id']}",
                {"config": sorted(config), "secrets": changed},
            )  # fmt: skip
        services.connections.forget()
        return await _shown(services, name)

    @delete("/{name:str}", summary="Remove a connection", status_code=204)
    async def remove(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> None:
        """Take a connection out of use; what it received and sent stays readable."""
        async with transaction(services.database) as session:
            row = await _row(session, name)
            await admin.remove_connection(session, row, services.vault)
            await admin.audit(
                session,
                request.state["actor"],
                "connection.remove",
                f"cn_{row['id']}",
                {"name": row["name"]},
            )
        services.connections.forget()

    @post("/{name:str}/pause", summary="Pause a connection", status_code=200)
    async def pause(
        self,
        services: Needs,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        data: JSONBody[PauseRequest],
    ) -> ConnectionView:
        """Hold what arrives and what would leave; nothing is lost."""
        return await _set_state(services, request, name, "paused", data.reason)

    @post("/{name:str}/resume", summary="Resume a connection", status_code=200)
    async def resume(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> ConnectionView:
        """Go on with everything that was held."""
        shown = await _set_state(services, request, name, "active", "")
        await services.wake()
        return shown

    @post("/{name:str}/test", summary="Test a connection", status_code=200)
    async def test(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str],
        allow_duplicate: Annotated[bool, QueryParameter(description="Accept an account that another connection has")] = False,
    ) -> TestResult:  # fmt: skip
        """Ask the vendor whose credentials these are, and remember the answer."""
        services.connections.forget()
        connection = await _find(services, name)
        available = _available(services, connection.integration)
        if available.code.probe is None:
            return TestResult(ok=True, detail="this integration has no credentials to test")
        found = await services.caller.probe(connection)
        if not isinstance(found, Account):
            detail = getattr(found, "reason", "no answer")
            failure = "unknown"
            if isinstance(found, AuthFailed):
                failure = "invalid_auth"
            elif isinstance(found, (RetryLater, Unknown)):
                failure = "cannot_connect"
            return TestResult(ok=False, failure=failure, detail=detail)
        async with transaction(services.database) as session:
            row = await _row(session, name)
            other = await admin.same_account(session, row, found)
            if other and not allow_duplicate:
                raise Problem(
                    HTTPStatus.CONFLICT,
                    f"{other!r} is a connection to the same account already ({found.label or found.id}); "
                    "use it, or test with allow_duplicate=true.",
                )
            await admin.set_account(session, row["id"], found)
            await admin.audit(
                session,
                request.state["actor"],
                "connection.test",
                f"cn_{row['id']}",
                {"account": found.id},
            )
        services.connections.forget()
        return TestResult(ok=True, account=found)

    @post("/{name:str}/retire-secrets", summary="Forget older secrets", status_code=200)
    async def retire(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> ConnectionView:
        """End a rotation: only the newest value of each secret is accepted from now on."""
        async with transaction(services.database) as session:
            row = await _row(session, name)
            await admin.retire_secrets(session, row, services.vault)
            await admin.audit(
                session, request.state["actor"], "connection.retire_secrets", f"cn_{row['id']}"
            )
        services.connections.forget()
        return await _shown(services, name)

    @post("/{name:str}/rotate-key", summary="Change the webhook address", status_code=200)
    async def rotate(
        self, services: Needs, request: Request[Any, Any, Any], name: FromPath[str]
    ) -> ConnectionView:
        """Give the connection a new webhook address; the old one is unknown from now on."""
        async with transaction(services.database) as session:
            row = await _row(session, name)
            await admin.set_key(session, row["id"])
            await admin.audit(
                session, request.state["actor"], "connection.rotate_key", f"cn_{row['id']}"
            )
        services.connections.forget()
        return await _shown(services, name)


async def _set_state(
    services: Needs, request: Request[Any, Any, Any], name: str, state: str, reason: str
) -> ConnectionView:
    async with transaction(services.database) as session:
        row = await _row(session, name)
        await admin.set_state(session, row["id"], state, reason)
        await admin.audit(
            session,
            request.state["actor"],
            f"connection.{state}",
            f"cn_{row['id']}",
            {"reason": reason},
        )
    services.connections.forget()
    return await _shown(services, name)


async def _row(session: Any, name: str) -> Row:
    row = await admin.connection(session, name)
    if row is None:
        raise missing(f"connection {name!r}")
    return row


async def _find(services: Needs, name: str) -> Connection:
    async with transaction(services.database) as session:
        row = await _row(session, name)
    return from_row(row, services.vault, services.registry)


async def _shown(services: Needs, name: str) -> ConnectionView:
    async with transaction(services.database) as session:
        row = await _row(session, name)
        counters = await admin.counters(session, row["id"])
    return _view(services, from_row(row, services.vault, services.registry), counters)


def _view(
    services: Needs, item: Connection, counters: dict[str, Any] | None = None
) -> ConnectionView:
    return ConnectionView(
        id=f"cn_{item.id}",
        name=item.name,
        integration=item.integration,
        state=item.state,
        reason=item.reason,
        config={**item.config, **{field: MASK for field, values in item.secrets.items() if values}},
        webhook_url=f"{services.settings.base_url()}/webhooks/{item.integration}/{item.key}",
        account=item.account,
        dedicated_account=item.dedicated_account,
        expect_seconds=item.expect_seconds,
        failures=item.failures,
        parked_until=item.parked_until,
        previous_secrets=tuple(field for field, values in item.secrets.items() if len(values) > 1),
        refused=item.refused,
        created_at=item.created_at,
        updated_at=item.updated_at,
        counters=counters or {},
    )


def _available(services: Needs, integration: str) -> Available:
    available = services.registry.get(integration)
    if available is None:
        bad = {item.id: item.reason for item in services.registry.unavailable}
        problem = (
            f"cannot be used: {bad[integration]}"
            if integration in bad
            else f"there is no {integration!r}"
        )
        raise invalid(
            [InvalidInput("integration", problem, f"there is: {', '.join(services.registry)}")],
            "The connection",
        )
    return available


def _split(manifest: Manifest, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a config into what may be read and what is secret."""
    names = set(manifest.secret_fields())
    return (
        {field: value for field, value in config.items() if field not in names},
        {field: value for field, value in config.items() if field in names},
    )


def _check(available: Available, config: Mapping[str, Any], secret: Mapping[str, Any]) -> None:
    """Check a config whole. Raises the `Problem` that names every faulty field."""
    manifest = available.manifest
    faults = list(_schema_faults(manifest, {**config, **secret}))
    if not faults and available.code.check_config is not None:
        faults += available.code.check_config(with_defaults(manifest, config))
    if faults:
        placed = [
            f
            if f.field.startswith("config")
            else InvalidInput(f"config.{f.field}", f.problem, f.mend)
            for f in faults
        ]
        raise invalid(placed, "The config")


def _schema_faults(manifest: Manifest, config: Mapping[str, Any]) -> Sequence[InvalidInput]:
    properties: Mapping[str, Any] = manifest.config.get("properties", {})
    hidden = set(manifest.secret_fields())
    faults: list[InvalidInput] = []
    for error in Draft202012Validator(manifest.config).iter_errors(config):
        path = ".".join(str(part) for part in error.absolute_path)
        top = str(error.absolute_path[0]) if error.absolute_path else ""
        mend = str(properties.get(top, {}).get("description", ""))
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    field = f"{path}.{name}" if path else name
                    faults.append(
                        InvalidInput(
                            field,
                            "is missing",
                            str(properties.get(name, {}).get("description", "")),
                        )
                    )
        elif error.validator == "additionalProperties" and not path:
            faults += [
                InvalidInput(
                    name,
                    "is not a field of this integration",
                    f"there is: {', '.join(sorted(properties))}",
                )
                for name in sorted(set(config) - set(properties))
            ]
        else:
            # What a validator says quotes the value, and a secret must not be quoted.
            problem = (
                "does not have the form it must have" if top in hidden else error.message[:300]
            )
            faults.append(InvalidInput(path or "config", problem, mend))
    return list({(f.field, f.problem): f for f in faults}.values())
