"""The mutes' pages: begun from an alert with a look at what would have been hidden, listed, ended."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from alerts.models import Alert, Cluster, Mute
from alerts.services import mutes
from tests.factories import make_alert


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    return make_alert(cluster, "certkeeper-view", severity="medium", score=40, evidence_at="2026-11-23T17:53:00Z")


def entered(at: Cluster, /, **changes: object) -> dict[str, object]:
    scope = {"cluster": at.pk, "detection": "", "actor": "ci-deployer", "object": "ClusterRole certkeeper-view"}
    return scope | {"days": 7, "reason": "A known release.", "action": "mute"} | changes


def mute(client: Client, address: str, values: dict[str, object]) -> Any:
    """Look at the preview, then mute what it showed."""
    seen = re.search(
        r'name="seen" value="(\w+)"', client.post(address, values | {"action": "preview"}).content.decode()
    )
    return client.post(address, values | {"seen": seen[1] if seen else ""}, follow=True)


def test_from_an_alert_it_starts_as_narrow_as_can_be_with_a_preview(as_ana: Client, alert: Alert) -> None:
    page = as_ana.get(f"/alerts/{alert.pk}").content.decode()
    assert f'href="/alerts/{alert.pk}/mute" data-key="m"' in page
    page = as_ana.get(f"/alerts/{alert.pk}/mute").content.decode()
    assert 'value="ClusterRole certkeeper-view"' in page
    assert 'value="ci-deployer"' in page
    assert (
        "It would have hidden <b>1 alert</b>, none of which turned out malicious. <b>1 open alert</b>, however old,"
        in page
    )


def test_a_name_with_a_star_is_shown_as_what_fits_it_alone(as_ana: Client, cluster: Cluster) -> None:
    starred = make_alert(cluster, "*", severity="medium", score=40, evidence_at="2026-11-23T17:53:00Z")
    make_alert(cluster, "other", severity="medium", score=40, evidence_at="2026-11-23T17:53:00Z")
    page = as_ana.get(f"/alerts/{starred.pk}/mute").content.decode()
    assert r'value="ClusterRole \*"' in page
    assert r"For a * in a name write \*" in page
    assert "It would have hidden <b>1 alert</b>" in page
    mute(as_ana, f"/alerts/{starred.pk}/mute", entered(cluster, object=r"ClusterRole \*"))
    assert r"<code>ClusterRole \*</code>" in as_ana.get("/mutes").content.decode()
    assert Mute.objects.get().alerts.get() == starred


def test_a_preview_mutes_nothing(as_ana: Client, alert: Alert, cluster: Cluster) -> None:
    response = as_ana.post("/mutes/new", entered(cluster, action="preview", object="ClusterRole cert*", reason=""))
    assert response.status_code == 200
    assert "<b>1 alert</b>" in response.content.decode()
    assert not Mute.objects.exists()


def test_what_no_preview_showed_is_not_muted(as_ana: Client, alert: Alert, cluster: Cluster) -> None:
    """Who widens it after the look, or confirms Critical, sees first what that hides."""
    make_alert(cluster, "other", severity="medium", score=40)
    address = f"/alerts/{alert.pk}/mute"
    page = as_ana.get(address).content.decode()
    narrow = {"seen": page.partition('name="seen" value="')[2].partition('"')[0]}
    for wider, shown in (({"object": "ClusterRole *"}, "2 alerts"), ({"covers_critical": "on"}, "1 alert")):
        values = entered(cluster, detection="cluster_role_created", **wider)
        response = as_ana.post(address, values | narrow)
        assert response.status_code == 422
        assert "What the preview showed was something else." in response.content.decode()
        assert f"It would have hidden <b>{shown}</b>" in response.content.decode()
    assert not Mute.objects.exists()
    response = as_ana.post(address, entered(cluster, detection="cluster_role_created") | narrow)
    assert (response.status_code, Mute.objects.count()) == (302, 1)


def test_a_mute_hides_the_alert_and_the_queue_says_how_many(as_ana: Client, alert: Alert, cluster: Cluster) -> None:
    response = mute(as_ana, f"/alerts/{alert.pk}/mute", entered(cluster))
    assert "Muted until" in response.content.decode()
    page = as_ana.get("/").content.decode()
    assert "ClusterRole certkeeper-view created" not in page
    assert 'href="/?muted=any">1 muted — show</a>' in page
    assert "ClusterRole certkeeper-view created" in as_ana.get("/?muted=any").content.decode()
    assert "Muted by ana until" in as_ana.get(f"/alerts/{alert.pk}").content.decode()


def test_a_critical_alert_asks_for_confirmation(as_ana: Client, alert: Alert, cluster: Cluster) -> None:
    Alert.objects.update(severity="critical", score=96)
    response = mute(as_ana, f"/alerts/{alert.pk}/mute", entered(cluster))
    assert response.status_code == 422
    assert "This alert is Critical and would stay where it is." in response.content.decode()
    assert not Mute.objects.exists()
    mute(as_ana, f"/alerts/{alert.pk}/mute", entered(cluster, covers_critical="on"))
    assert Mute.objects.get().alerts.get() == alert


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"reason": ""}, "Say in a sentence why"),
        ({"actor": "", "object": ""}, "would hide an attack"),
        ({"days": "365"}, "not one of the available choices"),
        ({"covers_critical": "on", "actor": "ci-*"}, "without *"),
        ({"cluster": "999"}, "not one of the available choices"),
    ],
)
def test_what_is_refused_is_said_and_nothing_entered_is_lost(
    as_ana: Client, cluster: Cluster, changes: dict[str, object], problem: str
) -> None:
    response = mute(as_ana, "/mutes/new", entered(cluster, **changes))
    assert response.status_code == 422
    page = response.content.decode()
    assert problem in page
    assert 'value="30"' in page
    assert not Mute.objects.exists()


def test_mutes_are_listed_and_ended(as_ana: Client, ana: User, alert: Alert) -> None:
    mute = mutes.begin(mutes.Scope.of(alert), reason="A release.", days=7, covers_critical=False, by=ana)
    page = as_ana.get("/mutes").content.decode()
    assert "<code>ClusterRole certkeeper-view</code>, by <code>ci-deployer</code>" in page
    assert "it would have hidden 1 in 30 days" in page
    page = as_ana.post(f"/mutes/{mute.pk}/end", {"action": "bring_back"}, follow=True).content.decode()
    assert "1 open alert came back to the queue." in page
    assert "Nothing is muted." in page
    alert.refresh_from_db()
    assert alert.muted_by is None


def test_a_viewer_looks_and_mutes_nothing(as_vic: Client, ana: User, alert: Alert, cluster: Cluster) -> None:
    mute = mutes.begin(mutes.Scope.of(alert), reason="A release.", days=7, covers_critical=False, by=ana)
    assert as_vic.get("/mutes").status_code == 200
    for response in (
        as_vic.get(f"/alerts/{alert.pk}/mute"),
        as_vic.post("/mutes/new", entered(cluster)),
        as_vic.post(f"/mutes/{mute.pk}/end"),
    ):
        assert response.status_code == 403
    assert Mute.objects.get().is_running()
