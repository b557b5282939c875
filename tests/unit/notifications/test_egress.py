"""Where HTTP may go."""

import ipaddress
import socket

import pytest

from alerts.notifications.egress import Destination, NotAllowed

HOOKS = ["hooks.slack.com"]


def test_a_listed_host_is_reached_by_https() -> None:
    assert Destination.of("https://hooks.slack.com/services/T/B/x", allowed=HOOKS) == Destination(
        "hooks.slack.com", 443, encrypted=True
    )


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.slack.com/services/T/B/x",
        "https://hooks.slack.com:8443/services/T/B/x",
        "https://hooks.slack.com.evil.example/services/T/B/x",
        "https://evil.example/hooks.slack.com",
        "https://evil.example#@hooks.slack.com/",
        "https://hooks.slack.com@evil.example/",
        "https://user:password@hooks.slack.com/services/T/B/x",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/services",
        "https://[::1]/services",
        "https://0x7f.1/services",
        "https://hooks.slack.com/ services",
        "https://hooks.slack.com/\r\nHost: evil.example",
        "https://höoks.slack.com/services",
        "file:///etc/passwd",
        "ftp://hooks.slack.com/",
        "//hooks.slack.com/services",
        "https://hooks.slack.com:port/services",
        "https://[hooks.slack.com/services",
        "hooks.slack.com",
        "",
    ],
)
def test_every_other_address_is_refused(address: str) -> None:
    with pytest.raises(NotAllowed):
        Destination.of(address, allowed=HOOKS)


def test_a_refusal_does_not_repeat_the_secret_part_of_the_address() -> None:
    with pytest.raises(NotAllowed) as refused:
        Destination.of("https://evil.example/services/T0/B0/secret", allowed=HOOKS)
    assert "secret" not in str(refused.value)
    assert "evil.example:443" in str(refused.value)


def test_plain_http_is_for_a_loopback_address_that_is_listed_with_its_port() -> None:
    listed = ["127.0.0.1:8026", "10.0.0.8:8026", "localhost:8026"]
    assert Destination.of("http://127.0.0.1:8026/x", allowed=listed).resolve() == ["127.0.0.1"]
    for address in ("http://127.0.0.1:8027/x", "http://10.0.0.8:8026/x", "http://localhost:8026/x"):
        with pytest.raises(NotAllowed):
            Destination.of(address, allowed=listed)


def test_a_private_address_that_is_listed_as_such_is_meant() -> None:
    assert Destination.of("https://10.0.0.8:8443/x", allowed=["10.0.0.8:8443"]).resolve() == ["10.0.0.8"]


def test_a_listed_name_that_leads_to_a_private_address_is_refused() -> None:
    with pytest.raises(NotAllowed, match="not public"):
        Destination.of("https://localhost/x", allowed=["localhost"]).resolve()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("3.5.140.2", True),
        ("2606:4700::6810:85e5", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.1", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::0a00:1", False),
        ("64:ff9b::305:8c02", True),
        ("::ffff:3.5.140.2", True),
        ("64:ff9b:1::305:8c02", False),
        ("2002:7f00:1::", False),
        ("2002:a00:1::", False),
        ("2002:305:8c02::", False),
        ("2001:0:305:8c02::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
        ("::7f00:1", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_public(
    address: str, public: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = 2 if ipaddress.ip_address(address).version == 4 else 10
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(family, 1, 6, "", (address, 443))])
    destination = Destination("hooks.slack.com", 443, encrypted=True)
    if public:
        assert destination.resolve() == [address]
    else:
        with pytest.raises(NotAllowed):
            destination.resolve()


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", ("3.5.140.2", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NotAllowed):
        Destination("hooks.slack.com", 443, encrypted=True).resolve()
