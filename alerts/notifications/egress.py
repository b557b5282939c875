"""HTTP that goes only where it may: to a listed host, at a public address, without redirects.

An address that somebody typed into a form could lead our server to a neighbour of its own, such as a cloud's metadata
service. So the host must be listed, it is resolved once, every address found must be public, and the connection is made
to what was resolved. A host that is listed as its very address and port, such as 127.0.0.1:8026, is meant: it may be
private, and plain http if it is this machine. Proxies are not used, because they would resolve the name again.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message as Headers
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import AbstractHTTPHandler, OpenerDirector, Request

ANSWER_LIMIT = 64 * 1024  # bytes of an answer that are read
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: carries an IPv4 address, which may be private
# They lead to an IPv4 address too, through a tunnel or a network's own gateway, and no service has such an address:
# IPv4-compatible (RFC 4291), local NAT64 (RFC 8215), Teredo (RFC 4380), 6to4 (RFC 3056). What `is_global` says of them,
# and of mapped ones, changed within Python 3.12.
_TUNNELS = tuple(map(ipaddress.ip_network, ("::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")))

type IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(Exception):
    """An address that requests may not go to; its text says why and never holds the address's path."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are in lower case; the body is cut at ANSWER_LIMIT."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests go: a listed host and port, not yet resolved."""

    host: str
    port: int
    encrypted: bool

    @classmethod
    def of(cls, address: str, *, allowed: Sequence[str]) -> Self:
        """Return where an address leads. `allowed` lists hosts, each alone (port 443) or with a port.

        Raises NotAllowed.
        """
        try:
            parts = urlsplit(address)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise NotAllowed("This is not an address.") from None
        if parts.scheme not in ("https", "http") or not host or not address.isascii() or not address.isprintable():
            raise NotAllowed("The address must begin with https:// and hold nothing unusual.")
        if " " in address or parts.username is not None or parts.password is not None:
            raise NotAllowed("The address must hold no user name, password or space.")
        encrypted = parts.scheme == "https"
        port = port or (443 if encrypted else 80)
        shown = f"[{host}]" if ":" in host else host
        literal = _literal(host)
        if not encrypted and not (literal and literal.is_loopback):
            raise NotAllowed("The address must begin with https://.")
        listed = [entry.lower() for entry in allowed]
        if f"{shown}:{port}" not in listed and not (shown in listed and port == 443):
            raise NotAllowed(f"{shown}:{port} is not one of the allowed hosts ({', '.join(listed)}).")
        return cls(host, port, encrypted)

    def resolve(self) -> list[str]:
        """Return the addresses that the host has now.

        Raises NotAllowed where one of them is not public; OSError where there is none.
        """
        if _literal(self.host):
            return [self.host]
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not all(_is_public(ipaddress.ip_address(address)) for address in addresses):
            raise NotAllowed(f"{self.host} has an address that is not public.")
        return addresses


def exchange(request: Request, destination: Destination, *, timeout: float) -> Answer:
    """Send the request to its destination and return the answer, whatever its status; redirects are not followed.

    Raises NotAllowed; OSError and http.client.HTTPException where there is no answer.
    """
    director = OpenerDirector()
    director.add_handler(_Pinned(destination))
    with director.open(request, timeout=timeout) as response:
        body = response.read(ANSWER_LIMIT).decode("utf-8", "replace")
        headers: Headers = response.headers
        return Answer(response.status, {name.lower(): value for name, value in headers.items()}, body)


class _Pinned(AbstractHTTPHandler):
    """Opens connections to where a destination leads, whatever else a request may say."""

    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self.destination = destination
        self.addresses = destination.resolve()

    def https_open(self, request: Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, request)

    http_open = https_open
    http_request = https_request = AbstractHTTPHandler.do_request_

    def _connection(self, _host: str, **options: Any) -> "_Connection":
        return _Connection(self.destination, self.addresses, **options)


class _Connection(http.client.HTTPConnection):
    """A connection to the first of the given addresses that answers."""

    def __init__(self, destination: Destination, addresses: list[str], **options: Any) -> None:
        super().__init__(destination.host, destination.port, **options)
        self.destination = destination
        self.addresses = addresses

    def connect(self) -> None:
        self.sock = self._reach()
        if self.destination.encrypted:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.destination.host)

    def _reach(self) -> socket.socket:
        last = OSError("There is no address to connect to.")
        for address in self.addresses:
            try:
                return socket.create_connection((address, self.destination.port), self.timeout)
            except OSError as error:
                last = error
        raise last


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped:
            return _is_public(address.ipv4_mapped)
        if any(address in network for network in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast
