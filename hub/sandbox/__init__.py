"""Host the vendors' stand-ins over HTTP: for the demo, for trying a route, and for tests."""

from hub.sandbox.app import create_app
from hub.sandbox.house import StateError
from hub.sandbox.server import serve, server
from hub.sandbox.settings import SandboxSettings

__all__ = ("SandboxSettings", "StateError", "create_app", "serve", "server")
