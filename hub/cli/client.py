"""The command as a client of the admin API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from hub.runtime.settings import load_settings
from hub.sdk.errors import HubError

KEY_FILE = "admin.key"


class ApiError(HubError):
    """The hub answered with a problem, or not at all."""


class Client:
    """Calls the admin API at `HUB_URL` with `HUB_API_KEY`; by default, the hub of this folder."""

    def __init__(
        self, url: str | None = None, key: str | None = None, *, timeout: float = 30
    ) -> None:
        settings = load_settings(os.environ)
        self.url = (url or os.environ.get("HUB_URL") or settings.local_url()).rstrip("/")
        self.key = key or os.environ.get("HUB_API_KEY") or _read_key(settings.data / KEY_FILE)
        self._http = httpx.Client(timeout=timeout, trust_env=False)

    def get(self, path: str, **query: Any) -> Any:
        """Read; parameters that are None are left out. Raises `ApiError`."""
        return self.call("GET", path, query={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: object = None) -> Any:
        """Do. Raises `ApiError`."""
        return self.call("POST", path, body=body if body is not None else {})

    def call(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the API under /api/v1. Raises `ApiError` with the problem's own words."""
        try:
            answer = self._http.request(
                method,
                f"{self.url}/api/v1{path}",
                params=query,
                json=body,
                headers={"authorization": f"Bearer {self.key}"},
            )
        except httpx.HTTPError as error:
            message = (
                f"no hub answers at {self.url} ({error}); start one with `hub up`, or set HUB_URL"
            )
            raise ApiError(message) from None
        if answer.is_success:
            return answer.json() if answer.content else None
        raise ApiError(_problem(answer))


def _problem(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code} from {answer.request.url}"
    lines = [str(problem.get("detail") or problem.get("title"))]
    for fault in problem.get("errors") or ():
        mend = f" ({fault['mend']})" if fault.get("mend") else ""
        lines.append(f"  {fault.get('field')}: {fault.get('problem')}{mend}")
    return "\n".join(lines)


def _read_key(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
