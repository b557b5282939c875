"""Whatever an attacker puts where into a body, its batch is examined: one that fails takes its neighbours along."""

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User

from alerts.models import AccessObject, Batch, Cluster
from alerts.services import inbox, intake, revocation
from tests.conftest import RECORDINGS, logged_in
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


def odd_batch(seed: int) -> bytes:
    chance = random.Random(seed)  # noqa: S311  (nothing secret is made of it)
    recorded = events()
    return event_list(*(mutated(chance.choice(recorded), chance) for _ in range(A_BATCH)))


@pytest.mark.parametrize("seed", range(4))
def test_odd_bodies_are_examined_like_any_other(cluster: Cluster, seed: int) -> None:
    batch, _ = inbox.store_leased(cluster, odd_batch(seed))
    assert intake.examine(batch).error == ""
    batch.refresh_from_db()
    assert batch.state == Batch.State.DONE
    assert batch.event_count + batch.damaged_count == A_BATCH


@pytest.mark.parametrize("seed", [45, 3000])
def test_what_came_of_odd_bodies_can_be_investigated_planned_and_looked_at(
    cluster: Cluster, rex: User, seed: int
) -> None:
    batch, _ = inbox.store_leased(cluster, odd_batch(seed))
    client = logged_in(rex)
    pages = {"/", "/roles", "/clusters/prod-eu/posture"}
    for alert in intake.examine(batch).opened:
        assert gathered(alert).evidence_error == ""
        if revocation.plannable(alert):
            revocation.plan(alert)
        pages |= {f"/alerts/{alert.pk}{page}" for page in ("", "/revoke", "/revoke?mode=contain", "/remove", "/tell")}
        pages.add(f"/clusters/prod-eu/search?{urlencode({'actor': alert.actor})}")
    pages |= {f"/roles/{each.pk}" for each in AccessObject.objects.all() if each.is_role}
    assert {client.get(page).status_code for page in pages} == {200}
