"""The queue page."""

from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.lifecycle import Verdict
from alerts.models import Activity, Alert, Cluster, SavedView, Watch
from alerts.services import tripwire, workflow
from tests.factories import make_alert

QUEUE = "/"


@pytest.fixture
def worst(cluster: Cluster) -> Alert:
    return make_alert(cluster, "metrics-scraper-v2", score=96)


@pytest.fixture
def mildest(cluster: Cluster) -> Alert:
    return make_alert(cluster, "pod-log-reader", score=12, severity=Alert.Severity.LOW, actor="jane@example.com")


def opening(alert: Alert) -> int:
    """Have it recorded that an alert opened, and return the key of the record."""
    return Activity.objects.record("opened", "opened the alert", by=None, alert=alert).pk


def test_it_asks_for_a_log_in(client: Client, worst: Alert) -> None:
    response = client.get(QUEUE)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("alerts:login"))


def test_a_session_that_ended_sends_htmx_to_the_log_in_instead_of_swapping_it_in(client: Client, worst: Alert) -> None:
    response = client.get(QUEUE, headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/?status=any"})
    assert response.status_code == 200
    assert response["HX-Redirect"].startswith("/login?next=")


def test_the_worst_stands_first(as_vic: Client, mildest: Alert, worst: Alert) -> None:
    page = as_vic.get(QUEUE).content.decode()
    assert page.index("metrics-scraper-v2") < page.index("pod-log-reader")


def test_by_default_it_shows_what_is_open_and_mine_or_nobodys(
    as_ana: Client, ana: User, ben: User, worst: Alert, mildest: Alert
) -> None:
    workflow.assign(worst, ben, by=ben, version=1)
    workflow.close(mildest, Verdict.DUPLICATE, by=ben, version=1, reason="Known.")
    page = as_ana.get(QUEUE).content.decode()
    assert "metrics-scraper-v2" not in page
    assert "pod-log-reader" not in page
    page = as_ana.get(QUEUE + "?status=any&owner=any").content.decode()
    assert "metrics-scraper-v2" in page
    assert "pod-log-reader" in page


def test_defaults_are_chips_that_can_be_lifted(as_ana: Client, worst: Alert) -> None:
    page = as_ana.get(QUEUE).content.decode()
    assert 'href="/?status=any"' in page
    assert 'href="/?owner=any"' in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("severity=low", ["pod-log-reader"]),
        ("actor=jane@example.com", ["pod-log-reader"]),
        ("search=scraper", ["metrics-scraper-v2"]),
        ("search=jane reader", ["pod-log-reader"]),
        ("cluster=elsewhere", []),
        ("severity=nonsense&status=nonsense", ["metrics-scraper-v2", "pod-log-reader"]),
    ],
)
def test_filters_stand_in_the_address(
    as_ana: Client, worst: Alert, mildest: Alert, query: str, shown: list[str]
) -> None:
    table = as_ana.get(f"{QUEUE}?{query}", headers={"HX-Request": "true"}).content.decode()
    assert [
        name for name in ("metrics-scraper-v2", "pod-log-reader") if f"ClusterRole {name} created" in table
    ] == shown


def test_an_alert_is_found_by_its_number(as_ana: Client, worst: Alert, mildest: Alert) -> None:
    page = as_ana.get(QUEUE, {"search": mildest.reference}).content.decode()
    assert "pod-log-reader" in page
    assert "metrics-scraper-v2 created" not in page


def test_newcomers_are_announced_and_move_nothing(as_ana: Client, worst: Alert, mildest: Alert) -> None:
    first, last = opening(worst), opening(mildest)
    told = as_ana.get(f"/newcomers?since={first}").content.decode()
    assert "1 new alert — show" in told
    assert f"since={first}" in told
    assert "<tr" not in told
    assert "new alert" not in as_ana.get(f"/newcomers?since={last}").content.decode()


def test_what_comes_back_is_announced_too(as_ana: Client, ana: User, worst: Alert, mildest: Alert) -> None:
    """An alert that a watch opens again is as old as it ever was. What one reopens oneself is no news."""
    for alert in (worst, mildest):
        workflow.close(alert, Verdict.DUPLICATE, by=ana, version=1, reason="x")
    page = as_ana.get(QUEUE).content.decode()
    address = unescape(page.partition('id="newcomers" hx-get="')[2].partition('"')[0])
    workflow.reopen(mildest, by=ana, version=2, reason="x")
    assert "show" not in as_ana.get(address).content.decode()
    tripwire.trip(
        Watch.objects.create(alert=worst, condition="returns", kind="ClusterRole", until=timezone.now()), None
    )
    assert "1 came back — show" in as_ana.get(address).content.decode()


def test_many_are_closed_at_once_and_each_says_what_became_of_it(as_ana: Client, worst: Alert, mildest: Alert) -> None:
    seen = [f"{worst.pk}.1", f"{mildest.pk}.2", "9999.1"]
    data = {"alert": seen, "action": "close", "verdict": "duplicate", "reason": "One release."}
    workflow.close(mildest, Verdict.DUPLICATE, by=User.objects.get(), version=1, reason="x")
    page = as_ana.post("/bulk", data, follow=True).content.decode()
    assert f"1 done: {worst.reference}." in page
    assert f"{mildest.reference}: An alert that is closed cannot become closed." in page
    assert "RC-9999: there is no such alert." in page


def test_what_somebody_took_since_is_neither_taken_nor_closed(
    as_ana: Client, ben: User, worst: Alert, mildest: Alert
) -> None:
    """What was entered is there again, and what was refused is still selected."""
    seen = [f"{worst.pk}.1", f"{mildest.pk}.1"]
    workflow.take(worst, by=ben, version=1)
    for action in ("take", "close"):
        data = {"alert": seen, "action": action, "verdict": "duplicate", "reason": "One release.", "view": "owner=any"}
        answer = as_ana.post("/bulk", data)
        page = answer.content.decode()
        assert answer.status_code == 422
        assert f"{worst.reference}: This alert changed since you looked at it." in page
        assert f'value="{worst.pk}.2" checked' in page
        assert 'value="One release."' in page
        assert '<option value="duplicate" title="' in page.partition(" selected>Duplicate")[0]
    worst.refresh_from_db()
    assert (worst.assignee, worst.is_open()) == (ben, True)


def test_a_viewer_changes_nothing(as_vic: Client, worst: Alert) -> None:
    assert as_vic.post("/bulk", {"alert": [f"{worst.pk}.1"], "action": "take"}).status_code == 403
    worst.refresh_from_db()
    assert worst.assignee is None


def test_looking_changes_nothing(as_ana: Client, worst: Alert) -> None:
    assert as_ana.get("/bulk").status_code == 405


def test_an_empty_queue_says_so(as_ana: Client, cluster: Cluster) -> None:
    page = as_ana.get(QUEUE).content.decode()
    assert "Nothing waits for you here" in page
    assert "nothing received yet" in page


@pytest.fixture
def rollout(cluster: Cluster) -> list[Alert]:
    """Three roles of one release, the gravest first."""
    fields = {"rollout_key": "1" * 64, "release": "Helm release certs/certkeeper", "severity": Alert.Severity.HIGH}
    examined = fields | {"evidence_at": timezone.now()}
    return [make_alert(cluster, f"certkeeper-{score}", score=score, **examined) for score in (80, 70, 60)]


def test_a_rollout_is_one_row_that_says_how_many_and_shows_the_worst(as_ana: Client, rollout: list[Alert]) -> None:
    page = as_ana.get(QUEUE).content.decode()
    assert page.count("<tr data-row") == 1
    assert "and 2 more of one rollout: Helm release certs/certkeeper" in page
    assert f'value="{",".join(f"{alert.pk}.1" for alert in rollout)}"' in page
    page = as_ana.get(f"{QUEUE}?rollout={rollout[1].pk}").content.decode()
    assert page.count("<tr data-row") == 3
    assert f"Rollout of {rollout[1].reference} ×" in page


def test_a_folded_row_is_acted_on_as_a_whole_and_only_as_it_was_seen(
    as_ana: Client, ana: User, cluster: Cluster, rollout: list[Alert]
) -> None:
    seen = ",".join(f"{alert.pk}.1" for alert in rollout)
    later = make_alert(cluster, "later", rollout_key="1" * 64, evidence_at=timezone.now())
    page = as_ana.post("/bulk", {"alert": [seen, f"{rollout[0].pk}.1"], "action": "take"}, follow=True).content.decode()
    assert f"3 done: {', '.join(alert.reference for alert in rollout)}." in page
    assert set(Alert.objects.filter(assignee=ana)) == set(rollout)
    assert Alert.objects.get(assignee=None) == later


def test_a_critical_alert_is_a_row_of_its_own_and_so_is_one_not_examined(as_ana: Client, rollout: list[Alert]) -> None:
    Alert.objects.filter(pk=rollout[1].pk).update(severity=Alert.Severity.CRITICAL)
    Alert.objects.filter(pk=rollout[2].pk).update(evidence_at=None)
    assert as_ana.get(QUEUE).content.decode().count("<tr data-row") == 3


def test_history_is_no_news(as_ana: Client, worst: Alert, mildest: Alert) -> None:
    since = opening(worst)
    opening(mildest)
    assert "1 new alert" in as_ana.get(f"/newcomers?since={since}").content.decode()
    Alert.objects.filter(pk=mildest.pk).update(historical=True)
    assert "new alert" not in as_ana.get(f"/newcomers?since={since}").content.decode()
    assert "From history" in as_ana.get(QUEUE).content.decode()


def test_a_view_is_kept_under_a_name_shared_and_removed(as_ana: Client, as_vic: Client, worst: Alert) -> None:
    query = "severity=critical&owner=any"
    assert "Save this view…" in as_ana.get(f"{QUEUE}?{query}").content.decode()
    as_ana.post("/views", {"view": query, "name": " Grave  ones ", "shared": "on"})
    page = as_ana.get(f"{QUEUE}?{query}").content.decode()
    assert '<a href="/?owner=any&amp;severity=critical" aria-current="page">Grave ones</a>' in page
    assert "Save this view…" not in page
    assert "Grave ones (ana)" in as_vic.get(QUEUE).content.decode()
    kept = SavedView.objects.get()
    assert "Only its owner may remove" in as_vic.post(f"/views/{kept.pk}/remove", follow=True).content.decode()
    assert "was removed" in as_ana.post(f"/views/{kept.pk}/remove", follow=True).content.decode()
    assert not SavedView.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 41, "Overdue"])
def test_a_view_without_a_name_of_its_own_is_refused(as_ana: Client, name: str) -> None:
    page = as_ana.post("/views", {"view": "severity=low", "name": name}, follow=True).content.decode()
    assert "name" in page.split('id="messages"')[1].split("</div>")[0]
    assert not SavedView.objects.exists()


def test_a_viewers_view_is_nobody_elses(as_vic: Client, as_ana: Client) -> None:
    as_vic.post("/views", {"view": "severity=low", "name": "Mild", "shared": "on"})
    assert "Mild" not in as_ana.get(QUEUE).content.decode()


def test_what_is_overdue_has_a_view(as_ana: Client, worst: Alert, mildest: Alert) -> None:
    Alert.objects.filter(pk=worst.pk).update(respond_by=timezone.now())
    page = as_ana.get(f"{QUEUE}?status=overdue").content.decode()
    assert "metrics-scraper-v2 created" in page
    assert "pod-log-reader created" not in page


def test_each_row_says_how_long_there_is_to_respond_and_the_head_how_many_are_past_it(
    as_ana: Client, worst: Alert, mildest: Alert
) -> None:
    now = timezone.now()
    Alert.objects.filter(pk=worst.pk).update(respond_by=now - timedelta(minutes=5, seconds=1))
    Alert.objects.filter(pk=mildest.pk).update(respond_by=now + timedelta(minutes=11, seconds=30))
    page = as_ana.get(QUEUE).content.decode()
    assert '<a href="/?status=overdue&amp;owner=any">1 past their time</a>' in page
    assert "overdue by 5 min" in page
    assert "respond in 11 min" in page
    Alert.objects.filter(pk=worst.pk).update(respond_by=None)
    assert "past their time" not in as_ana.get(QUEUE).content.decode()


def test_who_took_an_alert_has_responded(as_ana: Client, ana: User, worst: Alert, mildest: Alert) -> None:
    Alert.objects.update(respond_by=timezone.now() - timedelta(minutes=5))
    workflow.take(worst, by=ana, version=1)
    assert ">1 past their time" in as_ana.get(QUEUE).content.decode()
    overdue = as_ana.get(f"{QUEUE}?status=overdue").content.decode()
    assert "pod-log-reader created" in overdue
    assert "metrics-scraper-v2 created" not in overdue
    assert "overdue" not in as_ana.get(worst.get_absolute_url()).content.decode()
    assert "overdue by 5 min" in as_ana.get(mildest.get_absolute_url()).content.decode()
