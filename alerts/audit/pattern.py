"""Patterns over what stands in audit events: exact text in which `*` stands for any run of characters.

A `*` after a backslash is one. A pattern always fits the whole text, and is found in one pass: no text makes it slow,
as a regular expression can be made. Text is compared as people see it (`visible`), so that what a form shows is what is
compared.
"""

import ipaddress
import re
from collections.abc import Iterable

from alerts.audit.visible import visible

# What a * in a user name stops at: system:serviceaccount:flux-system:* must not fit another namespace's accounts.
NAME_PARTS = ":@/"
_ANYTHING = re.compile(r"(?<!\\)\*")


def matches(pattern: str, text: str, *, within: str = "") -> bool:
    """Tell whether the pattern fits the whole text; no `*` reaches over a character of `within`.

    Trying the first place where a literal occurs is enough: a later one gives the `*` before it more to reach over.
    """
    first, *rest = (literal.replace(r"\*", "*") for literal in _ANYTHING.split(visible(pattern)))
    text = visible(text)
    if not rest:
        return first == text
    if not text.startswith(first):
        return False
    *middle, last = rest
    end = len(text) - len(last)
    at = len(first)
    runs = []
    for literal in middle:
        found = text.find(literal, at, end)
        if found < 0:
            return False
        runs.append(text[at:found])
        at = found + len(literal)
    if at > end or not text.endswith(last):
        return False
    runs.append(text[at:end])
    return not any(stop in run for run in runs for stop in within)


def exactly(text: str) -> str:
    """Return the pattern that fits this text alone: a name may hold a `*`."""
    return visible(text).replace("*", r"\*")


def is_exact(pattern: str) -> bool:
    """Tell whether a pattern fits one text alone, as anybody sees at a glance: it has no `*` at all."""
    return bool(pattern) and "*" not in pattern


def within_networks(addresses: Iterable[str], networks: Iterable[str]) -> bool:
    """Tell whether there are addresses and every one of them lies in one of the networks.

    Every one, since of a request's source addresses the client may make up all but the last, and the last may be a
    proxy's: who made the request is somewhere between. Whatever is no address lies nowhere.
    """
    known = [ipaddress.ip_network(network) for network in networks]
    found = list(addresses)
    return bool(found) and all(any(_inside(address, network) for network in known) for address in found)


def _inside(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False
