"""What was left behind under a role's authority, or by its maker since, as evidence: still there or gone."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import ClusterError, Forbidden, NotFound
from alerts.cluster.kinds import KINDS
from alerts.models import Cluster
from alerts.services import connection
from alerts.services.investigation.case import Case
from alerts.services.investigation.leftovers import Leftover, leftovers
from alerts.services.investigation.timeline import short
from alerts.services.investigation.use import Use

_ITEMS = 200
_ASKED = 100
THERE, GONE, UNKNOWN, READ = "there", "gone", "unknown", "read"


def evidence(case: Case, use: Use) -> dict[str, Any]:
    """Return the evidence for the step, as plain JSON."""
    found = list({leftover.key: leftover for leftover in leftovers(case)}.values())
    shown = found[:_ITEMS]
    states, problem = _states(case.cluster, shown)
    items = [
        _item(leftover, states.get(leftover.key, UNKNOWN if leftover.reference else READ), use) for leftover in shown
    ]
    return {
        "summary": _summary(found, use),
        "items": items,
        "left_out": len(found) - len(shown),
        "gaps": case.since.gaps,
        "problem": problem,
    }


def _states(cluster: Cluster, found: Iterable[Leftover]) -> tuple[dict[tuple[str, str], str], str]:
    """Ask the live cluster which are still there; return that by key, and why it could not be asked, or ""."""
    states: dict[tuple[str, str], str] = {}
    if not (cluster.api_address and cluster.readable):
        return states, "Whether they are still there is unknown: Rolecall may not read this cluster."
    try:
        with connection.connect(cluster) as api:
            for leftover in [each for each in found if each.reference is not None][:_ASKED]:
                states[leftover.key] = _state(api, leftover)
    except (connection.NotConnected, ClusterError) as error:
        return states, str(error)
    return states, ""


def _state(api: ClusterAPI, leftover: Leftover) -> str:
    reference = leftover.reference
    if reference is None or reference.kind not in KINDS or reference.kind == "Secret":
        # A secret is not read to learn whether it is there.
        return UNKNOWN
    try:
        api.read(reference)
    except NotFound:
        return GONE
    except Forbidden:
        return UNKNOWN
    return THERE


def _item(leftover: Leftover, state: str, use: Use) -> dict[str, Any]:
    act = leftover.act
    return {
        "kind": leftover.kind,
        "title": leftover.title,
        "state": state,
        "note": leftover.note,
        "object": list(reference) if (reference := _awaited(leftover)) else [],
        "command": leftover.command,
        "by": short(act.by),
        "at": act.at.isoformat() if act.at else "",
        "besides": use.is_besides(act),
    }


def _awaited(leftover: Leftover) -> tuple[str, str, str] | None:
    """Return kind, namespace and name of an object that was made, None where there is none or no kind of ours."""
    reference = leftover.reference
    return (reference.kind, reference.namespace, reference.name) if leftover.made and reference else None


def _summary(found: list[Leftover], use: Use) -> str:
    """Return what was left behind, counted: “Left behind with it: 2 workloads and 4 secrets to replace.”."""
    with_it = [leftover for leftover in found if not use.is_besides(leftover.act)]
    besides = [leftover for leftover in found if use.is_besides(leftover.act)]
    parts = [f"left behind with it: {_counted(with_it)}"] if with_it else []
    parts += [f"by its maker since: {_counted(besides)}"] if besides else []
    text = "; ".join(parts) or "nothing that was left behind is known"
    return f"{text[:1].upper()}{text[1:]}."


def _counted(found: list[Leftover]) -> str:
    counts = Counter(leftover.kind for leftover in found)
    words = [f"{count} {_plural(kind, count)}" for kind, count in counts.items()]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _plural(kind: str, count: int) -> str:
    singular, plural = _NOUNS.get(kind, (kind, f"{kind}s"))
    return singular if count == 1 else plural


_NOUNS = {
    "role": ("role or binding", "roles or bindings"),
    "secret": ("secret to replace", "secrets to replace"),
    "other": ("other object", "other objects"),
}
