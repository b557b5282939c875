"""Starting and ending watches from the alert's page."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts.models import Alert, Cluster
from alerts.services import watch
from tests.factories import make_alert

HTMX = {"HX-Request": "true"}


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    return make_alert(cluster)


def test_a_watch_is_started_for_as_many_days_as_asked(as_ana: Client, alert: Alert, ana: User) -> None:
    response = as_ana.post(f"/alerts/{alert.pk}/watch", {"days": "7"})
    assert (response.status_code, response["Location"]) == (302, f"/alerts/{alert.pk}?#step-watch")
    assert {each.set_by for each in alert.watches.all()} == {ana}
    assert {(each.until - timezone.now()).days for each in alert.watches.all()} == {6}


@pytest.mark.parametrize("days", ["", "many", "-3", "\u0663", "9" * 400])
def test_odd_days_are_held_to_what_makes_sense(as_ana: Client, alert: Alert, days: str) -> None:
    assert as_ana.post(f"/alerts/{alert.pk}/watch", {"days": days}).status_code == 302
    assert all(0 < (each.until - timezone.now()).days + 1 <= 365 for each in alert.watches.all())


def test_htmx_gets_the_alert_with_its_watches(as_ana: Client, alert: Alert) -> None:
    page = as_ana.post(f"/alerts/{alert.pk}/watch", {"days": "7"}, headers=HTMX).content.decode()
    assert "<html" not in page
    assert '<span class="chip good">watching</span>' in page
    assert f'action="/watches/{alert.watches.all()[0].pk}/end"' in page


def test_watches_are_extended(as_ana: Client, as_vic: Client, alert: Alert, ana: User) -> None:
    assert "Extend by so many days" not in as_ana.get(alert.get_absolute_url()).content.decode()
    watch.start(alert, by=ana, days=7)
    assert "Extend by so many days" in as_ana.get(alert.get_absolute_url()).content.decode()
    assert as_vic.post(f"/alerts/{alert.pk}/watch/extend", {"days": "7"}).status_code == 403
    response = as_ana.post(f"/alerts/{alert.pk}/watch/extend", {"days": "7"})
    assert (response.status_code, response["Location"]) == (302, f"/alerts/{alert.pk}?#step-watch")
    assert {(each.until - timezone.now()).days for each in alert.watches.all()} == {13}


def test_a_watch_is_ended(as_ana: Client, alert: Alert, ana: User) -> None:
    first, second = watch.start(alert, by=ana)
    assert as_ana.post(f"/watches/{first.pk}/end").status_code == 302
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_running(), second.is_running()) == (False, True)


def test_a_viewer_starts_and_ends_nothing(as_vic: Client, alert: Alert, ana: User) -> None:
    (first, _) = watch.start(alert, by=ana)
    assert as_vic.post(f"/alerts/{alert.pk}/watch").status_code == 403
    assert as_vic.post(f"/watches/{first.pk}/end").status_code == 403
    assert as_vic.post(f"/alerts/{alert.pk}/investigate").status_code == 403


def test_what_does_not_exist_is_not_found(as_ana: Client, db: None) -> None:
    assert as_ana.post("/alerts/99/watch").status_code == 404
    assert as_ana.post("/watches/99/end").status_code == 404
    assert as_ana.post("/alerts/99/investigate").status_code == 404


def test_a_retry_has_the_alert_investigated_again(as_ana: Client, alert: Alert) -> None:
    Alert.objects.update(evidence_due=False, evidence_at=timezone.now())
    assert as_ana.post(f"/alerts/{alert.pk}/investigate").status_code == 302
    assert Alert.objects.get(pk=alert.pk).evidence_due
