"""No call to private addresses: a connection's config must not reach into the company's network.

The check is made where names are resolved for connecting, so what was checked is what is connected
to, and a name that changes its address in between gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from hub.sdk.errors import HubError


class PrivateAddress(HubError):
    """The address is not a public one, and is not on the list of exceptions."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"{host} is {address}, not a public address; if that is meant, "
            "add it to HUB_ALLOW_PRIVATE_HOSTS"
        )


def is_public(address: str) -> bool:
    """Whether an IP address may be called: global, and no address in disguise (mapped, 6to4)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


class Guard:
    """Says whether a host may be called. `allowed` holds `host` or `host:port` exceptions."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(item.lower() for item in allowed)

    def excepted(self, host: str, port: int) -> bool:
        """Whether a person has allowed this host, or this host and port."""
        return host.lower() in self._allowed or f"{host.lower()}:{port}" in self._allowed

    def check(self, host: str, port: int) -> None:
        """Check a host that is an address already. Raises `PrivateAddress`."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        if not self.excepted(host, port) and not is_public(host):
            raise PrivateAddress(host, host)


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to private addresses."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises `PrivateAddress`."""
        found = await self._resolver.resolve(host, port, family)
        if not self._guard.excepted(host, port):
            for item in found:
                if not is_public(item["host"]):
                    raise PrivateAddress(host, item["host"])
        return found

    async def close(self) -> None:
        """Nothing to close."""
