"""What handlers are given."""

from __future__ import annotations

from typing import TypeAlias

from litestar.di import NamedDependency

from hub.runtime.services import Services

Needs: TypeAlias = NamedDependency[Services]
"""The open services, provided by the application as `services`."""
