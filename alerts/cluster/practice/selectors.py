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
        field = term.replace("!", "=").partition("=")[0]
        if field not in fields:
            known = ", ".join(status.go_quote(name) for name in fields)
            raise status.bad_request(f"{status.go_quote(field)} is not a known field selector: only {known}")
        if not _holds(term, fields):
            return False
    return all(_holds(term, labels) for term in _terms(query.get("labelSelector", "")))


def exact(selector: str, field: str) -> str:
    """Return the value that a field selector demands of a field, or "" where it demands none."""
    terms = (term.partition("=") for term in _terms(selector) if "!=" not in term)
    return next((value.lstrip("=").strip() for key, _, value in terms if key.strip() == field), "")


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
