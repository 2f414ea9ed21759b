"""The web process: webhooks in, the admin API, its try-it page, metrics."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from litestar import Litestar, MediaType, Response, asgi, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from hub import __version__
from hub.admin.app import PATH, router
from hub.admin.problems import HANDLERS
from hub.receive.app import WebhookApp
from hub.runtime.services import Services

_DESCRIPTION = """\
Connect tools, write routes, watch the flow, replay what failed.

Send the key as `Authorization: Bearer hub_…`; the first one lies in `admin.key` in the data folder.
Every error is a problem document (RFC 9457) that names the field and the mend.
"""


def create_app(services: Services) -> Litestar:
    """Build the application on open services."""
    webhooks = WebhookApp(
        services.database,
        services.connections,
        services.queue,
        max_body=services.settings.max_body_bytes,
        max_waiting=services.settings.max_waiting,
        watch=services.watch,
    )

    @asgi("/webhooks", is_mount=True, copy_scope=False, opt={"open": True})
    async def receive(scope: Any, receive: Any, send: Any) -> None:
        await webhooks(scope, receive, send)

    @get("/metrics", include_in_schema=False, media_type=MediaType.TEXT, sync_to_thread=False)
    def metrics() -> Response[bytes]:
        """Return the process's counters in Prometheus' text form."""
        registry = CollectorRegistry()
        registry.register(_Counts(webhooks))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @get("/", include_in_schema=False, media_type=MediaType.HTML, sync_to_thread=False)
    def home() -> str:
        """Show what runs here."""
        return _HOME

    def provide() -> Services:
        return services

    return Litestar(
        route_handlers=[
            receive,
            router,
            home,
            metrics,
            create_static_files_router(
                path="/assets/swagger",
                directories=[Path(str(resources.files("swagger_ui"))) / "static"],
                include_in_schema=False,
            ),
        ],
        dependencies={"services": Provide(provide, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        state=State({"services": services}),
        on_shutdown=[webhooks.drain],
        openapi_config=OpenAPIConfig(
            title="Hub admin API",
            version=__version__,
            description=_DESCRIPTION,
            path="/docs",
            render_plugins=[
                SwaggerRenderPlugin(
                    path="/",
                    favicon="<link rel='icon' type='image/png' href='/assets/swagger/favicon-32x32.png'>",
                    js_url="/assets/swagger/swagger-ui-bundle.js",
                    css_url="/assets/swagger/swagger-ui.css",
                    standalone_preset_js_url="/assets/swagger/swagger-ui-standalone-preset.js",
                )
            ],
            components=Components(
                security_schemes={
                    "apiKey": SecurityScheme(
                        type="http", scheme="bearer", description="An API key of the hub"
                    )
                }
            ),
        ),
        logging_config=None,
        debug=False,
    )


class _Counts(Collector):
    """The receive stage's counts, read when they are asked for."""

    def __init__(self, webhooks: WebhookApp) -> None:
        self._webhooks = webhooks

    def collect(self) -> list[CounterMetricFamily]:
        """Return one counter, labelled by integration and answer."""
        family = CounterMetricFamily(
            "hub_webhooks",
            "Webhook requests by integration and answer",
            labels=["integration", "answer"],
        )
        for name, count in self._webhooks.counts.items():
            integration, _, answer = name.partition(" ")
            family.add_metric([integration, answer], count)
        return [family]


_HOME = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hub</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; color: #1d2330 }}
h1 {{ font-size: 1.5rem }} a {{ color: #1756c9 }} code {{ background: #eef1f6; padding: .1em .3em; border-radius: 3px }}
li {{ margin: .4em 0 }} @media (prefers-color-scheme: dark) {{ body {{ background: #14171d; color: #dfe4ee }} a {{ color: #8ab4ff }} code {{ background: #252b36 }} }}
</style></head><body>
<h1>The hub is running</h1>
<p>It takes webhooks in, turns them into one schema, and passes on what matters.</p>
<ul>
<li><a href="/docs">Admin API</a>: connect tools, write routes, try them, replay what failed</li>
<li><a href="{PATH}/health">Health</a>: what waits, what failed, what to do</li>
<li><a href="/metrics">Metrics</a> for Prometheus</li>
<li>On the command line: <code>hub events tail</code>, <code>hub explain ev_1</code>, <code>hub doctor</code></li>
</ul></body></html>
"""
