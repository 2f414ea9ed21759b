"""Forbid sockets, files, clocks and randomness while an integration's pure code runs."""

from __future__ import annotations

import builtins
import io
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, NoReturn

_FORBIDDEN: tuple[tuple[Any, str], ...] = (
    (socket, "socket"), (socket, "create_connection"), (socket, "getaddrinfo"),
    (builtins, "open"), (io, "open"), (os, "open"), (subprocess, "Popen"),
    (time, "time"), (time, "time_ns"), (time, "monotonic"), (time, "monotonic_ns"),
    (time, "perf_counter"), (time, "perf_counter_ns"), (time, "sleep"),
    (random, "random"), (random, "randint"), (random, "randrange"), (random, "choice"),
    (random, "choices"), (random, "shuffle"), (random, "sample"), (random, "uniform"),
    (random, "getrandbits"), (random, "_urandom"),
    (os, "urandom"), (uuid, "uuid1"), (uuid, "uuid4"),
    (secrets, "token_bytes"), (secrets, "token_hex"), (secrets, "token_urlsafe"),
    (threading, "Thread"),
)  # fmt: skip


class ImpureError(BaseException):
    """Pure code reached for the world. Not an `Exception`, so that no handler swallows it."""


@contextmanager
def pure(package: str) -> Iterator[None]:
    """Let calls to the outside world raise `ImpureError`; everything is restored afterwards.

    `package` is the integration's package: in its modules `datetime.now()` and `date.today()` are
    forbidden too. Other threads of the process are left alone.
    """
    owner = threading.get_ident()
    kept: list[tuple[Any, str, Any]] = []
    try:
        for module, name in _FORBIDDEN:
            real = getattr(module, name)
            kept.append((module, name, real))
            setattr(module, name, _forbid(f"{module.__name__}.{name}", real, owner))
        for module in _modules(package):
            for name, value in list(vars(module).items()):
                if value is datetime or value is date:
                    kept.append((module, name, value))
                    setattr(module, name, _TIMELESS[value])
        yield
    finally:
        for module, name, value in reversed(kept):
            setattr(module, name, value)


def _forbid(name: str, real: Callable[..., Any], owner: int) -> Callable[..., Any]:
    def forbidden(*args: Any, **named: Any) -> Any:
        if threading.get_ident() != owner:
            return real(*args, **named)
        raise ImpureError(name)

    return forbidden


def _modules(package: str) -> list[Any]:
    inside = f"{package}."
    return [
        module
        for name, module in list(sys.modules.items())
        if name == package or name.startswith(inside)
    ]


def _clock(name: str) -> Any:
    def clock(*_args: object, **_named: object) -> NoReturn:
        raise ImpureError(name)

    return staticmethod(clock)


class _Timeless(type):
    """Makes a class like a real one, but without its clock; instances are the real ones."""

    real: type[Any]

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.real)

    def __call__(cls, *args: Any, **named: Any) -> Any:
        return cls.real(*args, **named)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.real, name)


def _timeless(real: type[Any], clocks: tuple[str, ...]) -> type[Any]:
    members = {name: _clock(f"{real.__name__}.{name}") for name in clocks}
    return _Timeless(real.__name__, (), {"real": real, **members})


_TIMELESS: dict[type[Any], type[Any]] = {
    datetime: _timeless(datetime, ("now", "utcnow", "today")),
    date: _timeless(date, ("today",)),
}
