"""Makes rules and requests that lean on the traps of Kubernetes' evaluation, from a seeded source of chance."""

import random
from typing import Any

from alerts.rbac import Request

VERBS = ("get", "list", "create", "delete", "*", "GET", "escalate", "impersonate:user-info", "")
GROUPS = ("", "apps", "*", "core", "v1", "example.com", "rbac.authorization.k8s.io")
RESOURCES = (
    *("pods", "pods/log", "pods/exec", "secrets", "deployments", "*", "*/log", "*/scale", "*/exec", "pods/*", "*/*"),
    *("foo/bar/baz", "*/bar/baz", "*/baz", "Pods", "pod", "", "pods/", "*/", "/log", "**", "*pods"),
)
NAMES = ("", "a", "b", "*", "a/b", "default", "kubernetes.io/*")
URLS = ("*", "/", "/*", "/foo", "/foo*", "/foo/*", "/foo/", "/foo**", "/foo/bar", "/f*o", "/foo*bar*", "", "**", "foo")
PATHS = ("", "/", "/foo", "/foobar", "/foo/", "/foo/bar", "/f*o", "/foo*bar", "/foo*barx", "foo", "/other", "*")
LITERAL = {
    "verbs": ("get", "list", "create", "delete", "GET", "escalate", "impersonate:user-info", "newverb", "*"),
    "groups": ("", "apps", "core", "example.com", "new.example.com", "*"),
    "resources": ("pods", "secrets", "deployments", "foo", "Pods", "pod", "novel", "*", ""),
    "subresources": ("", "", "log", "exec", "scale", "bar/baz", "baz", "*", "novel"),
    "names": ("", "", "a", "b", "*", "a/b", "c"),
}


def source(seed: int) -> random.Random:
    """Return chance that is the same in every run."""
    return random.Random(seed)  # noqa: S311  (nothing secret is made of it)


def _some(chance: random.Random, words: tuple[str, ...], most: int, *, least: int = 1) -> list[str]:
    return [chance.choice(words) for _ in range(chance.randint(least, most))]


def rule(chance: random.Random) -> dict[str, Any]:
    """Return a rule an API server would store: on resources or on URLs, with repeats and null lists as they come."""
    verbs = _some(chance, VERBS, 3)
    if chance.random() < 0.2:
        return {"verbs": verbs, "nonResourceURLs": _some(chance, URLS, 3)}
    made: dict[str, Any] = {
        "verbs": verbs,
        "apiGroups": _some(chance, GROUPS, 2),
        "resources": _some(chance, RESOURCES, 3),
    }
    if chance.random() < 0.4:
        made["resourceNames"] = _some(chance, NAMES, 2, least=0)
    if chance.random() < 0.1:
        made["nonResourceURLs"] = chance.choice([None, []])
    return made


def odd_rule(chance: random.Random) -> dict[str, Any]:
    """Return a rule that no API server would store, but that its functions answer for: mixed, or with empty lists."""
    made = {
        "verbs": _some(chance, VERBS, 2, least=0),
        "apiGroups": _some(chance, GROUPS, 2, least=0),
        "resources": _some(chance, RESOURCES, 2, least=0),
        "resourceNames": _some(chance, NAMES, 2, least=0),
        "nonResourceURLs": _some(chance, URLS, 2, least=0),
    }
    return {field: values for field, values in made.items() if chance.random() < 0.8}


def rules(chance: random.Random, most: int = 4) -> list[dict[str, Any]]:
    """Return a role's rules: mostly sound, now and then an odd one among them."""
    return [odd_rule(chance) if chance.random() < 0.1 else rule(chance) for _ in range(chance.randint(0, most))]


def request_near(chance: random.Random, rules: list[dict[str, Any]]) -> Request:
    """Return a request that one of the rules nearly or truly allows; any at all where there are no rules."""
    stray = request(chance)
    if not rules:
        return stray
    rule = {field: values for field, values in chance.choice(rules).items() if values}

    def word(field: str, otherwise: str) -> str:
        chosen = chance.choice(rule.get(field, [otherwise]))
        return otherwise if chosen == "*" or chance.random() < 0.1 else str(chosen)

    if "nonResourceURLs" in rule:
        tail = chance.choice(["", "x", "/", "/bar"])
        return Request(word("verbs", stray.verb), path=word("nonResourceURLs", "/").rstrip("*") + tail)
    resource, _, subresource = word("resources", stray.resource).partition("/")
    resource = chance.choice(("foo", "pods")) if resource == "*" else resource
    return Request(
        word("verbs", stray.verb),
        word("apiGroups", stray.group),
        resource,
        subresource or chance.choice(("", stray.subresource)),
        word("resourceNames", stray.name),
    )


def request(chance: random.Random) -> Request:
    """Return a request: on a URL now and then, with words that rules spell out and some that none does."""
    if chance.random() < 0.25:
        return Request(chance.choice(LITERAL["verbs"]), path=chance.choice(PATHS))
    verb, group, resource, subresource, name = (chance.choice(words) for words in LITERAL.values())
    return Request(verb, group, resource, subresource, name)
