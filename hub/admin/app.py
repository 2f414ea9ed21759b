"""The API's parts, put together."""

from __future__ import annotations

from litestar import Router

from hub.admin.auth import require_key
from hub.admin.connections import ConnectionsController
from hub.admin.flow import FlowController
from hub.admin.lanes import LaneController
from hub.admin.links import LinksController
from hub.admin.routes import RoutesController
from hub.admin.system import HealthController, SystemController

PATH = "/api/v1"

router = Router(
    path=PATH,
    guards=[require_key],
    security=[{"apiKey": []}],
    route_handlers=[
        HealthController,
        ConnectionsController,
        RoutesController,
        FlowController,
        LaneController,
        LinksController,
        SystemController,
    ],
)
