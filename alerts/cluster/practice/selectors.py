"""Selectors in the query of a list, such as `app=web,tier!=db,owner` (apimachinery/pkg/labels; sets are left out)."""

from alerts.cluster.kinds import Manifest
from alerts.cluster.practice import status


def matches(query: dict[str, str], manifest: Manifest) -> bool:
    """Tell whether an object is chosen by a list's labelSelector and fieldSelector.

    Raises Refusal (400) for a field that cannot be selected by.
    """
    labels = manifest["metadata"].get("labels") or {}
    fields = {
        "metadata.name": manifest["metadata"]["name"],
        "metadata.namespace": manifest["metadata"].get("namespace"),
    }
    for term in _terms(query.get("fieldSelector", "")):
        if term.replace("!", "=").split("=")[0] not in fields:
            raise status.bad_request(f"field label not supported: {term.replace('!', '=').split('=')[0]}")
        if not _holds(term, fields):
            return False
    return all(_holds(term, labels) for term in _terms(query.get("labelSelector", "")))


def _terms(selector: str) -> list[str]:
    return [term.strip() for term in selector.split(",") if term.strip()]


def _holds(term: str, values: dict[str, str]) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return values.get(key.strip()) != value.strip()
    if "=" in term:
        key, _, value = term.partition("=")
        return values.get(key.strip()) == value.lstrip("=").strip()
    return term.removeprefix("!") not in values if term.startswith("!") else term in values
