"""Anchored patterns: what they fit, what only resembles it, and that no text makes them slow."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.audit.pattern import NAME_PARTS, exactly, is_exact, matches, within_networks
from alerts.audit.visible import visible


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("ci-deployer", "ci-deployer", True),
        ("ci-deployer", "ci-deployer2", False),
        ("ci-deployer", "xci-deployer", False),
        ("ci-*", "ci-", True),
        ("Helm/3.*", "Helm/3.16.2", True),
        ("Helm/3.*", "evil Helm/3.16.2", False),
        ("a*a", "a", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*x*", "aaxbb", True),
        ("", "", True),
        ("", "x", False),
        ("a.c", "abc", False),
        ("ClusterRole x\\u202ey", "ClusterRole x\u202ey", True),
        (r"ClusterRole \*", "ClusterRole *", True),
        (r"ClusterRole \*", "ClusterRole x", False),
        (r"a\*b*", "a*b-c", True),
        (r"a\*b*", "a-b-c", False),
    ],
)
def test_a_pattern_fits_the_whole_text_or_nothing(pattern: str, text: str, *, fits: bool) -> None:
    assert matches(pattern, text) is fits


@given(st.text(alphabet="ab*\\\u202e", max_size=6), st.text(alphabet="ab*\\\u202e", max_size=6))
def test_the_pattern_of_exactly_one_text_fits_no_other(text: str, other: str) -> None:
    assert matches(exactly(text), other) is (visible(text) == visible(other))


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("system:serviceaccount:flux-system:*", "system:serviceaccount:flux-system:helm-controller", True),
        ("system:serviceaccount:flux*", "system:serviceaccount:flux-system:helm-controller", False),
        ("service-*@project.example.com", "service-12@project.example.com", True),
        ("service-*@project.example.com", "service-x@evil.example@project.example.com", False),
    ],
)
def test_in_a_user_name_a_star_stays_within_its_part(pattern: str, text: str, *, fits: bool) -> None:
    assert matches(pattern, text, within=NAME_PARTS) is fits


@given(pattern=st.text("ab:*", max_size=8), text=st.text("ab:", max_size=12), confined=st.booleans())
def test_it_agrees_with_a_regular_expression(pattern: str, text: str, *, confined: bool) -> None:
    star = "[^:]*" if confined else ".*"
    expected = re.fullmatch(star.join(re.escape(literal) for literal in pattern.split("*")), text) is not None
    assert matches(pattern, text, within=":" if confined else "") is expected


def test_no_text_makes_it_slow() -> None:
    began = time.process_time()
    assert not matches("*a" * 200 + "b", "a" * 100_000)
    assert time.process_time() - began < 0.5


def test_only_what_has_no_star_is_exact() -> None:
    assert [is_exact(pattern) for pattern in ("jane", "jane*", "")] == [True, False, False]


@pytest.mark.parametrize(
    ("addresses", "inside"),
    [
        (["10.20.9.2"], True),
        (["10.20.9.2", "127.0.0.1"], True),
        (["10.20.9.2", "203.0.113.77"], False),
        (["203.0.113.77", "10.20.9.2"], False),
        (["no address"], False),
        ([], False),
        (["::1"], False),
    ],
)
def test_every_address_must_lie_in_a_network(addresses: list[str], *, inside: bool) -> None:
    assert within_networks(addresses, ["10.20.0.0/16", "127.0.0.1/32"]) is inside
