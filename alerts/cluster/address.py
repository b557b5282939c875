"""Which addresses Rolecall connects to: the policy, and connections that keep to it whatever a name resolves to."""

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from alerts.cluster.errors import AddressRefused

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Instance metadata services outside the link-local ranges: AWS over IPv6, Azure's wire server, Alibaba Cloud.
_METADATA = {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "168.63.129.16", "100.100.100.200")}


def parse(address: str) -> str:
    """Return the address of an API server without a slash at its end.

    Raises AddressRefused unless it is http or https with a host, and without user, query or fragment.
    """
    try:
        parts = urlsplit(address.strip())
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        valid = False
    if not valid:
        raise AddressRefused("The address of a cluster's API is a URL such as https://10.0.0.1:6443.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise AddressRefused("The address of a cluster's API holds no user name, password, query or fragment.")
    return address.strip().rstrip("/")


def check(text: str, *, encrypted: bool, private_address_allowed: bool) -> None:
    """Raise AddressRefused where we do not connect to this IP address.

    Never: link-local, multicast, unspecified and metadata services. Loopback and private ones only where an
    administrator allowed them. Without TLS only loopback, because the token would be read on its way.
    """
    address = _unmapped(ipaddress.ip_address(text.partition("%")[0]))
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA:
        raise AddressRefused(f"Rolecall never connects to {address}: such addresses belong to no API server.")
    if not encrypted and not address.is_loopback:
        raise AddressRefused(f"Without TLS Rolecall connects to loopback addresses only; {address} needs https.")
    if not address.is_global and not private_address_allowed:
        raise AddressRefused(
            f"{address} is a private or loopback address. An administrator may allow that for this cluster."
        )


def _unmapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside an IPv6 one (mapped, NAT64, 6to4), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def pool_classes(*, private_address_allowed: bool) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3 pools whose connections keep to the policy.

    The policy is applied to what the name resolves to, and again to the peer we are connected to, before a byte is
    sent: a name that resolves differently the second time gains nothing.
    """

    def checked(connection: HTTPConnection, connect: Any, *, encrypted: bool) -> socket.socket:
        for *_, target in _resolved(connection.host, connection.port):
            check(target[0], encrypted=encrypted, private_address_allowed=private_address_allowed)
        connected: socket.socket = connect()
        try:
            check(connected.getpeername()[0], encrypted=encrypted, private_address_allowed=private_address_allowed)
        except (AddressRefused, OSError):
            connected.close()
            raise
        return connected

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return checked(self, super()._new_conn, encrypted=False)

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return checked(self, super()._new_conn, encrypted=True)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _resolved(host: str, port: int) -> list[Any]:
    """Return what a name resolves to; nothing where it does not, which connecting then reports."""
    try:
        return socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError:
        return []
