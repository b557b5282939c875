import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.audit.visible import visible
from alerts.models import Batch, Cluster
from alerts.services import inbox, searching
from tests.factories import make_alert
from tests.recorded import ATTACK, BEFORE, as_list, events, take_in, take_in_recordings
from tests.unit.audit.events import CREATOR, as_bytes, creation, event_list, metadata_only, reading

REASON = "authorization.k8s.io/reason"
OLDER = re.compile(r'<a class="button" href="([^"]+)"')
NAME = re.compile(r"name-\d+-\d+-")
SCRAPER = "system:serviceaccount:kube-system:metrics-scraper"


@pytest.fixture
def history(cluster: Cluster) -> Cluster:
    take_in_recordings(cluster, *BEFORE, ATTACK)
    return cluster


def search(client: Client, **query: Any) -> str:
    response = client.get(reverse("alerts:search", args=["prod-eu"]), query)
    assert response.status_code == 200
    return response.content.decode()


def rows(page: str) -> int:
    return page.count('<td class="clock">')


def test_it_finds_what_an_actor_did_what_a_role_allowed_and_who_wrote_it(as_vic: Client, history: Cluster) -> None:
    assert rows(search(as_vic, actor="jane@example.com")) > 0
    assert rows(search(as_vic, role="metrics-scraper-v2")) >= 9
    written = search(as_vic, object="metrics-scraper-v2", resource="clusterroles")
    assert rows(written) == 1
    assert "ci-deployer" in written


def deleted_together(*names: str, **changes: Any) -> dict[str, Any]:
    """Return a deletecollection of roles of the namespace web, whose answer lists them."""
    about = {"resource": "roles", "namespace": "web", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}
    answer = {"kind": "RoleList", "items": [{"metadata": {"name": name, "namespace": "web"}} for name in names]}
    return creation(**({"verb": "deletecollection", "objectRef": about, "responseObject": answer} | changes))


def test_a_role_that_was_deleted_with_others_leads_to_the_request_that_did_it(as_vic: Client, cluster: Cluster) -> None:
    take_in(cluster, event_list(deleted_together(*(f"role-{number}" for number in range(300)))))
    for name in ("role-0", "role-299"):
        page = search(as_vic, object=name, resource="roles", namespace="web")
        assert rows(page) == 1
        assert "not logged" not in page
    for another in ({"object": "role-300", "namespace": "web"}, {"object": "role-0", "namespace": "other"}):
        assert rows(search(as_vic, resource="roles", **another)) == 0


def test_what_may_have_been_deleted_or_made_is_shown_as_such(as_vic: Client, cluster: Cluster) -> None:
    refused = deleted_together(auditID="refused", responseStatus={"metadata": {}, "code": 403})
    about = {"resource": "roles", "namespace": "web", "apiGroup": "rbac.authorization.k8s.io"}
    take_in(cluster, event_list(metadata_only(deleted_together()), metadata_only(creation(objectRef=about)), refused))
    page = search(as_vic, object="reader", resource="roles", namespace="web")
    assert rows(page) == page.count("its name is not logged") == 2
    assert rows(search(as_vic, object="reader", resource="roles", namespace="other")) == 0


def test_a_rehearsal_is_not_taken_for_a_deed(as_vic: Client, cluster: Cluster) -> None:
    take_in_recordings(cluster, "binding-to-admin")
    rehearsed = search(as_vic, object="never-made", resource="clusterroles")
    assert rows(rehearsed) == 1
    assert "dry run" in rehearsed
    assert "dry run" not in search(as_vic, object="system-health", resource="clusterrolebindings")


def test_asked_for_nothing_it_shows_the_form_alone(as_vic: Client, history: Cluster) -> None:
    assert 'id="results"' not in search(as_vic)
    assert 'id="results"' not in search(as_vic, since="2026-01-01T00:00")


def test_it_keeps_to_the_times_asked_for(as_vic: Client, history: Cluster) -> None:
    assert "Nothing here" in search(as_vic, actor="jane@example.com", until="2020-01-01T00:00")
    assert "Enter a valid date/time." in search(as_vic, actor="jane@example.com", since="yesterday")


def test_a_damaged_event_without_times_counts_as_come_when_it_was_received(as_vic: Client, cluster: Cluster) -> None:
    cut = as_bytes(creation(requestReceivedTimestamp=None, stageTimestamp=None))[:-150]
    before, after = (timezone.now() + timedelta(hours=hours) for hours in (-1, 1))
    take_in(cluster, event_list(cut))
    for year in (2001, 2099):
        take_in(cluster, event_list(reading() | {"requestReceivedTimestamp": f"{year}-01-01T00:00:00.000000Z"}, cut))
    received = cluster.batches.latest("pk").received_at
    times: list[dict[str, Any]] = [{}, {"since": before}, {"until": after}, {"since": before, "until": after}]
    for limits in times:
        page = search(as_vic, object="reader", resource="clusterroles", **limits)
        assert rows(page) == page.count(">received<") == 3
        assert f"{received:%Y-%m-%d %H:%M:%S}" in page
    for limits in ({"since": after}, {"until": before}):
        assert rows(search(as_vic, object="reader", resource="clusterroles", **limits)) == 0


def test_what_was_not_searched_is_counted_and_nothing_is_said_of_it(as_vic: Client, cluster: Cluster) -> None:
    take_in(cluster, event_list(reading()))
    assert "No stored batch holds such an event." in search(as_vic, actor="nobody")
    for number, state in enumerate((Batch.State.WAITING, Batch.State.LEASED, Batch.State.QUARANTINED)):
        batch = inbox.store(cluster, event_list(creation(auditID=str(number))))
        leased = timezone.now() if state == Batch.State.LEASED else None
        Batch.objects.filter(pk=batch.pk).update(state=state, leased_until=leased)
    page = search(as_vic, actor="nobody", until="2020-01-01T00:00")
    assert "3 batches are not examined yet or were set aside, and were not searched." in page
    assert "No stored batch" not in page
    Batch.objects.filter(pk=batch.pk).update(received_at=timezone.now() - timedelta(days=2))
    yesterday = timezone.now() - timedelta(days=1)
    assert "2 batches are not examined yet" in search(as_vic, actor="nobody", since=yesterday)
    Batch.objects.exclude(state=Batch.State.QUARANTINED).delete()
    assert "1 batch is not examined yet or was set aside, and was not searched." in search(as_vic, actor="nobody")


def test_what_cannot_be_read_holds_nobody_knows_what(as_vic: Client, cluster: Cluster, settings: Any) -> None:
    take_in(cluster, event_list(reading()))
    settings.CREDENTIAL_KEYS = ["another key, of thirty-two characters"]
    page = search(as_vic, actor=CREATOR["username"])
    assert "1 batch could not be read: the key is not in CREDENTIAL_KEYS." in page
    assert "All that could be searched was looked through." in page
    assert "No stored batch" not in page


def pages(client: Client, **query: Any) -> Iterator[str]:
    """Yield a page of the search, and each that it leads to."""
    page = search(client, **query)
    yield page
    while address := OLDER.search(page):
        page = client.get(reverse("alerts:search", args=["prod-eu"]) + html.unescape(address[1])).content.decode()
        yield page


@pytest.mark.parametrize(("limit", "value"), [("BATCHES_A_PAGE", 2), ("SECONDS_A_PAGE", 0.0)])
def test_older_pages_go_on_where_the_newer_ended(
    as_vic: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(searching, limit, value)
    recorded = [event for event in events(ATTACK) if event["user"]["username"] == SCRAPER]
    for event in recorded:
        take_in(cluster, as_list([event]))
    found = [rows(page) for page in pages(as_vic, actor=SCRAPER)]
    assert max(found) <= 2
    assert sum(found) == len(recorded)


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5, 7, 100])
def test_a_page_ends_within_a_batch_where_it_is_full_and_the_next_one_goes_on_there(
    as_vic: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(searching, "EVENTS_A_PAGE", room)
    sizes = [2, 3, 1, 7, 4]
    names = [[f"name-{batch}-{number}-" for number in range(size)] for batch, size in enumerate(sizes)]
    for of_batch in names:
        take_in(cluster, event_list(reading(), *(creation(name, user={"username": "jane"}) for name in of_batch)))
    shown = [NAME.findall(page) for page in pages(as_vic, actor="jane")]
    # Full but for the last one, and none of them empty.
    assert [len(each) for each in shown[:-1]] == [room] * (len(shown) - 1)
    assert 0 < len(shown[-1]) <= room
    assert [name for page in shown for name in page] == [name for of_batch in names for name in of_batch][::-1]


def test_what_came_and_went_between_two_pages_moves_none_of_what_was_shown(
    as_vic: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "EVENTS_A_PAGE", 2)
    for batch in range(3):
        made = (creation(f"name-{batch}-{number}-", user={"username": "jane"}) for number in range(3))
        take_in(cluster, event_list(*made))
    following = pages(as_vic, actor="jane")
    assert NAME.findall(next(following)) == ["name-2-2-", "name-2-1-"]
    take_in(cluster, event_list(creation("name-3-0-", user={"username": "jane"})))
    assert NAME.findall(next(following)) == ["name-2-0-", "name-1-2-"]
    # The batch within which that page ended.
    cluster.batches.order_by("pk")[1].delete()
    assert NAME.findall(next(following)) == ["name-0-2-", "name-0-1-"]


def test_the_rows_that_follow_come_by_themselves(
    as_vic: Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "EVENTS_A_PAGE", 2)
    take_in(cluster, event_list(*(creation(str(number), user={"username": 'a&b"'}) for number in range(5))))
    page = search(as_vic, actor='a&b"')
    while address := OLDER.search(page):
        # In sight, the link is replaced by what it leads to.
        assert f'hx-get="{address[1]}" hx-trigger="revealed" hx-target="#older" hx-swap="outerHTML"' in page
        following = reverse("alerts:search", args=["prod-eu"]) + html.unescape(address[1])
        page = as_vic.get(following).content.decode()
        part = as_vic.get(following, headers={"HX-Request": "true"})
        assert part["Vary"].startswith("HX-Request")
        assert part.content.decode().strip() in page
        assert part.content.decode().strip().startswith("<tr>")
    assert rows(page) == 1


@pytest.mark.parametrize("before", ["-1", "1.", ".1", "1.2.3", "x", "9" * 19, "1\n", "\u0663"])
def test_a_page_that_ended_nowhere_is_followed_by_none(as_vic: Client, history: Cluster, before: str) -> None:
    assert rows(search(as_vic, actor="jane@example.com", before=before)) == 0


def test_a_row_of_long_names_is_no_long_row(as_vic: Client, cluster: Cluster) -> None:
    long, jane = "\u202e" * 100_000, {"username": "jane"}
    about = {"resource": long, "namespace": long, "name": long, "subresource": long, "apiGroup": long}
    reason = f'RBAC: allowed by RoleBinding "b/{long}" of Role "{long}" to User "jane"'
    event = reading() | {"objectRef": about, "annotations": {REASON: reason}, "sourceIPs": [long], "userAgent": long}
    by_long = event | {"user": {"username": long}, "impersonatedUser": jane}
    take_in(cluster, event_list(event | {"user": jane, "impersonatedUser": {"username": long}}, by_long))
    page = search(as_vic, actor="jane")
    assert rows(page) == 2
    assert len(page) < 20_000


def test_an_alert_leads_to_what_its_actor_did(as_vic: Client, history: Cluster) -> None:
    alert = make_alert(history, "another", actor="x&actor=jane")
    page = as_vic.get(alert.get_absolute_url()).content.decode()
    assert f"{reverse('alerts:search', args=['prod-eu'])}?actor=x%26actor%3Djane" in page


def test_a_name_is_looked_for_with_the_spaces_around_it(as_vic: Client, cluster: Cluster) -> None:
    reason = 'RBAC: allowed by RoleBinding "b/ web" of Role " reader" to User "jane"'
    about = {"resource": "roles", "namespace": " web", "name": "reader ", "apiGroup": "rbac.authorization.k8s.io"}
    take_in(cluster, event_list(creation(objectRef=about, annotations={REASON: reason}), reading()))
    assert rows(search(as_vic, role=" reader", namespace=" web")) == 1
    assert rows(search(as_vic, object="reader ", resource="roles", namespace=" web")) == 1
    assert rows(search(as_vic, role="reader", namespace=" web")) == 0
    alert = make_alert(cluster, " reader")
    page = as_vic.get(alert.get_absolute_url()).content.decode()
    assert f"{reverse('alerts:search', args=['prod-eu'])}?role=%20reader" in page


@pytest.mark.parametrize("name", ["ev\u200bil", "right\u202eleft", "line\nbreak", "back\\slash", "x" * 2000 + "\u200b"])
def test_a_name_copied_from_a_page_finds_the_events_it_was_shown_with(
    as_vic: Client, cluster: Cluster, name: str
) -> None:
    quoted = json.dumps(name, ensure_ascii=False)
    reason = f'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole {quoted} to User "jane"'
    annotations = {REASON: reason}
    take_in(cluster, event_list(creation(name, user={"username": name}, annotations=annotations), reading()))
    for field in ("actor", "role", "object"):
        assert rows(search(as_vic, **{field: visible(name)})) == 1, field
        assert rows(search(as_vic, **{field: name})) == 1, field
        assert rows(search(as_vic, **{field: f"{visible(name)}?"})) == 0, field


def test_what_an_attacker_wrote_is_shown_as_text_and_without_its_secrets(as_vic: Client, cluster: Cluster) -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e\"'\x1b[31m"
    token = "Authorization: Bearer hunter2-0123456789"
    about = {"resource": hostile, "namespace": hostile, "name": hostile, "apiGroup": "", "apiVersion": "v1"}
    someone = {"username": "mallory", "groups": []}
    asked = reading() | {"user": someone, "objectRef": about, "userAgent": f"{hostile} {token}", "sourceIPs": [hostile]}
    elsewhere = {"requestURI": f"/logs/?{token}", "objectRef": None, "impersonatedUser": {"username": hostile}}
    take_in(cluster, event_list(asked, {key: value for key, value in (asked | elsewhere).items() if value is not None}))
    page = search(as_vic, actor="mallory")
    assert rows(page) == 2
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "hunter2" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
