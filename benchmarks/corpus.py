"""Audit events in the proportions of a busy cluster, made of the shapes of recorded ones."""

import json
import random
from pathlib import Path
from typing import Any

from benchmarks.installation import ROOT

# As API servers make them unless they are told otherwise. `add_cluster` tells them fifty (decision 0016).
BATCH = 400
_RECORDED = (
    ROOT / "tests" / "data" / "audit" / "control-plane-start.jsonl",
    *sorted((ROOT / "alerts" / "cluster" / "practice" / "recordings").glob("*.jsonl")),
)
# Of a thousand events: renewals of leases, other writes, and unless something else is asked for writes of roles and
# bindings. The others are reads.
_LEASES, _WRITES, RBAC = 300, 20, 10
# Listings of every role at an API server's start are larger than what any cluster does all day.
_LARGEST = 16 * 1024


def bodies(count: int, *, rbac: int = RBAC, batch: int = BATCH) -> list[bytes]:
    """Return so many events as API servers post them, `batch` to a body; the same in every run.

    `rbac` of a thousand write roles and bindings.
    """
    chance = random.Random(5)  # noqa: S311  (nothing secret is made of it)
    kinds = _kinds()
    shares = (1000 - _LEASES - _WRITES - rbac, _LEASES, _WRITES, rbac)
    order = chance.choices(list(kinds), shares, k=count)
    items = [_varied(chance.choice(kinds[kind]), number, chance) for number, kind in enumerate(order)]
    return [_list(items[start : start + batch]) for start in range(0, count, batch)]


def _list(items: list[bytes]) -> bytes:
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + b",".join(items) + b"]}\n"


def _kinds() -> dict[str, list[dict[str, Any]]]:
    lines = [line for path in _RECORDED for line in Path(path).read_bytes().splitlines() if len(line) < _LARGEST]
    events = [json.loads(line) for line in lines]
    reads = [event for event in events if event["verb"] in {"get", "list", "watch"}]
    writes = [event for event in events if event["verb"] in {"create", "update", "patch", "delete"}]
    rbac = [event for event in writes if _group(event) == "rbac.authorization.k8s.io"]
    leases = [event for event in writes if event["objectRef"]["resource"] == "leases" and event["verb"] == "update"]
    others = [event for event in writes if event not in rbac and event not in leases]
    return {"reads": reads, "leases": leases, "writes": others, "rbac": rbac}


def _group(event: dict[str, Any]) -> str:
    return str(event.get("objectRef", {}).get("apiGroup", ""))


def _varied(event: dict[str, Any], number: int, chance: random.Random) -> bytes:
    """Return the event as one of its own: other id and times; of what it made, another uid."""
    at = f"2026-11-25T{number // 3_600_000 % 24:02}:{number // 60_000 % 60:02}:{number // 1000 % 60:02}"
    fresh = {
        "auditID": f"{number:08x}-0000-4000-8000-{chance.randrange(1 << 48):012x}",
        "requestReceivedTimestamp": f"{at}.{number % 1000:03}000Z",
        "stageTimestamp": f"{at}.{number % 1000:03}900Z",
    }
    # Kind and version stand at the head of the list, and of the lines in a log.
    posted = {key: value for key, value in (event | fresh).items() if key not in {"kind", "apiVersion"}}
    text = json.dumps(posted, separators=(",", ":"))
    uid = event.get("responseObject", {}).get("metadata", {}).get("uid")
    return (text.replace(uid, f"{number:08x}{uid[8:]}") if uid else text).encode()
