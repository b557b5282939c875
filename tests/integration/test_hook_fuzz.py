"""Whatever is posted is kept and examined, or refused in an answer that says so; never a 500."""

import hashlib
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts import tasks
from alerts.models import Batch, Cluster, DamagedItem
from alerts.services import inbox, intake
from tests.unit.audit.events import as_bytes, creation, event_list, reading

text = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=20)
quietly = settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
HEADERS = [
    "Authorization", "Content-Encoding", "Content-Type", "X-Amz-Firehose-Request-Id", "X-Amz-Firehose-Access-Key",
    "Transfer-Encoding", "X-Forwarded-For", "Cookie", "Expect",
]  # fmt: skip


@pytest.fixture
def token(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(tasks, "announce_batch", lambda: None)
    token = cluster.issue_hook_token()
    cluster.save()
    return token


@given(
    name=st.text(min_size=1, max_size=10).filter(lambda name: name not in {".", ".."}) | st.just("prod-eu"),
    body=st.binary(max_size=50),
    headers=st.dictionaries(st.sampled_from(HEADERS), text, max_size=4),
    length=st.none() | text,
)
@quietly
def test_a_stranger_s_request_is_refused_whatever_it_holds(
    token: str, name: str, body: bytes, headers: dict[str, str], length: str | None
) -> None:
    extra: dict[str, Any] = {} if length is None else {"CONTENT_LENGTH": length}
    answer = Client(headers=headers).generic("POST", "/hook/" + name.replace("/", "%2F"), body, **extra)
    assert 400 <= answer.status_code < 500
    assert not Batch.objects.exists()


@given(
    before=st.lists(st.sampled_from([as_bytes(reading("1")), as_bytes(creation()), b"{}", b"null"]), max_size=3),
    poison=st.binary(max_size=60)
    | st.sampled_from([b"{{{", b'"\xff"', b'"\\ud800"', b"[" * 3000 + b"]" * 3000, b"1e999"]),
    place=st.sampled_from(["item", "request", "user", "name"]),
)
@quietly
def test_what_a_cluster_posts_is_kept_and_examined_whatever_it_holds(
    token: str, before: list[bytes], poison: bytes, place: str
) -> None:
    item = {
        "item": poison,
        "request": as_bytes(creation(requestObject="@@")).replace(b'"@@"', poison),
        "user": as_bytes(creation(user="@@")).replace(b'"@@"', poison),
        "name": as_bytes(creation("@@")).replace(b'"@@"', poison),
    }[place]
    body = event_list(*before, item)
    client = Client(headers={"Authorization": f"Bearer {token}"})
    assert client.post("/hook/prod-eu", body, content_type="application/json").status_code == 200
    for batch in inbox.claim(1):
        assert intake.examine(batch).error == ""
    batch = Batch.objects.get(sha256=hashlib.sha256(body).hexdigest())
    assert inbox.body(batch) == body
    assert batch.state == Batch.State.DONE
    # Bytes such as a comma in the place of an item are none.
    assert batch.event_count + batch.damaged_count >= len(before) + (place != "item")
    # The same item damaged twice is one row.
    assert DamagedItem.objects.filter(batch=batch).count() <= batch.damaged_count
