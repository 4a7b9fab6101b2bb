"""Which network addresses may be connected to.

URLs come with data sets, from anybody: they must not make us talk to machines of our own network.
"""

from __future__ import annotations

import ipaddress
import re
import socket

from ..core import faults
from ..core.errors import HoldError


class AddressRule:
    """Which addresses may be connected to: all public ones, and those that are listed.

    The list has addresses, networks (``10.1.0.0/16``), and addresses with a port (``[::1]:8080``),
    between spaces; ``all`` allows everything.
    """

    def __init__(self, allowed: str) -> None:
        words = allowed.split()
        self._all = "all" in words
        self._allowed: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int | None]] = []
        for word in words:
            found = re.fullmatch(r"\[([^]]+)\](?::([0-9]+))?", word)
            address, port = (found[1], found[2]) if found else (word, None)
            try:
                network = ipaddress.ip_network(address, strict=False)
            except ValueError:
                continue
            self._allowed.append((network, int(port) if port else None))

    def allows(self, address: str, port: int) -> bool:
        """Whether one numeric address may be connected to."""
        if self._all:
            return True
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if all(_is_public(real) for real in _meant(found)):
            return True
        return any(
            real in network and wanted in (None, port)
            for real in _meant(found)
            for network, wanted in self._allowed
            if real.version == network.version
        )

    def check_behind_proxy(self, host: str, port: int, shown: str) -> None:
        """A proxy will connect for us: refuse hosts that are private as far as we can see.

        Raises:
            PolicyError: The host may not be connected to.
        """
        if self._all:
            return
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return
        for *_, address in found:
            if not self.allows(str(address[0]), port):
                raise refusal(shown, str(address[0]))


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _meant(address: _Address) -> list[_Address]:
    """An address, or the IPv4 address that an IPv6 one carries to."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    return [address] if inner is None else [inner]


def _is_public(address: _Address) -> bool:
    return address.is_global and not address.is_multicast


def refusal(url: str, address: str) -> HoldError:
    """The error that says an address may not be used."""
    detail = f"{address} is an address of a private network or of this machine"
    return faults.BAD_URL(url=url, detail=detail)
