"""Whatever an attacker puts where into a body, its batch is examined: one that fails takes its neighbours along."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from alerts.models import Batch, Cluster
from alerts.services import inbox, intake, revocation
from tests.conftest import RECORDINGS
from tests.recorded import gathered
from tests.unit.audit.events import as_bytes, event_list

A_BATCH = 60
ODD: list[Any] = [
    None, True, 0, -1, 1e300, 10**30, "", "x", "*", "system:", "\u202e", "\x00", "é" * 300, [], {}, [[]], [{}], [None],
    {"kind": {}}, {"name": []}, {"kind": ["Secret"]}, ["*", None], {"": ""}, "2026-11-23T17:52:12Z", {"metadata": None},
]  # fmt: skip


def events() -> list[dict[str, Any]]:
    """Return the recorded requests that changed something, or had bodies."""
    lines = (line for path in sorted(RECORDINGS.glob("*.jsonl")) for line in path.read_bytes().splitlines())
    return [event for event in map(json.loads, lines) if event.get("requestObject") and event["verb"] != "get"]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a body."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(each, (*path, key))


def mutated(event: dict[str, Any], chance: random.Random) -> bytes:
    """Return an event in whose bodies something odd stands in one to three places."""
    changed = json.loads(json.dumps(event))
    changed["auditID"] = f"{chance.randrange(1 << 48):x}"
    for _ in range(chance.randint(1, 3)):
        whole = changed[chance.choice([each for each in ("requestObject", "responseObject") if each in changed])]
        *way, last = chance.choice([*places(whole), ("odd",)])
        inner: Any = whole
        for step in way:
            inner = inner[step]
        try:
            inner[last] = json.loads(json.dumps(chance.choice(ODD)))
        except TypeError:
            continue
    return as_bytes(changed)


@pytest.mark.parametrize("seed", range(6))
def test_odd_bodies_are_examined_like_any_other(cluster: Cluster, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  (nothing secret is made of it)
    recorded = events()
    body = event_list(*(mutated(chance.choice(recorded), chance) for _ in range(A_BATCH)))
    batch, _ = inbox.store_leased(cluster, body)
    outcome = intake.examine(batch)
    assert outcome.error == ""
    for alert in outcome.opened:
        assert gathered(alert).evidence_error == ""
        if revocation.plannable(alert):
            revocation.plan(alert)
    batch.refresh_from_db()
    assert batch.state == Batch.State.DONE
    assert batch.event_count + batch.damaged_count == A_BATCH
