"""Rules written in short, for tests: `get, list on secrets`, `create on pods in apps named a`, `get at /logs*`."""

from typing import Any


def rules(*phrases: str) -> list[dict[str, Any]]:
    """Return a rule for each phrase, as manifests have it. A name `""` is the empty one; without `in` it is core."""
    return [_rule(phrase) for phrase in phrases]


def _rule(phrase: str) -> dict[str, Any]:
    if " at " in phrase:
        verbs, urls = phrase.split(" at ")
        return {"verbs": verbs.split(", "), "nonResourceURLs": urls.split(", ")}
    verbs, rest = phrase.split(" on ")
    rest, _, names = rest.partition(" named ")
    resources, _, groups = rest.partition(" in ")
    rule = {
        "verbs": verbs.split(", "),
        "apiGroups": [group.removeprefix("core") for group in groups.split(", ")],
        "resources": resources.split(", "),
    }
    return rule | ({"resourceNames": [name.replace('""', "") for name in names.split(", ")]} if names else {})
