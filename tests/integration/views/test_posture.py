"""The page of a cluster's posture, and deciding about findings there and on an alert."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts.models import Alert, Cluster, PostureFinding
from alerts.services import posture
from tests.factories import make_alert, make_finding

HTMX = {"HX-Request": "true"}


@pytest.fixture
def finding(cluster: Cluster) -> PostureFinding:
    return make_finding(cluster, title="user eve")


def decide(client: Client, finding: PostureFinding, action: str, **more: str) -> tuple[int, str]:
    response = client.post(f"/findings/{finding.pk}/decide", {"action": action} | more)
    return response.status_code, response.headers.get("Location", "")


def fresh(finding: PostureFinding) -> PostureFinding:
    return PostureFinding.objects.get(pk=finding.pk)


def test_the_page_shows_what_is_open_accepted_and_fixed_and_the_days(
    as_vic: Client, cluster: Cluster, finding: PostureFinding, ana: User
) -> None:
    posture.accept(make_finding(cluster, title="user bob"), by=ana, reason="The pager.")
    posture.mark_fixed(make_finding(cluster, title="user mallory"), by=ana)
    page = " ".join(as_vic.get("/clusters/prod-eu/posture").content.decode().split())
    opened, rest = page.split('id="accepted-title"')
    accepted, fixed = rest.split('id="fixed-title"')
    assert "user eve" in opened
    assert "user bob" in accepted
    assert "“The pager.”" in accepted
    assert "user mallory" in fixed
    assert "says ana" in fixed
    assert f'aria-label="1 open on {timezone.now():%Y-%m-%d}"' in fixed
    assert "Accept or mark fixed" not in page
    assert as_vic.get("/clusters/nowhere/posture").status_code == 404


def test_the_page_of_a_cluster_nobody_looked_at_says_so(as_vic: Client, cluster: Cluster) -> None:
    page = as_vic.get("/clusters/prod-eu/posture").content.decode()
    assert "posture was not looked at yet" in page
    assert "/clusters/prod-eu/posture" in as_vic.get("/clusters/prod-eu").content.decode()


def test_a_finding_is_accepted_without_javascript(as_ana: Client, finding: PostureFinding, ana: User) -> None:
    answer = decide(as_ana, finding, "accept", reason="Needed.", days="30")
    assert answer == (302, "/clusters/prod-eu/posture")
    acceptance = fresh(finding).acceptance()
    assert acceptance is not None
    assert (acceptance.by, acceptance.reason, (acceptance.until - timezone.now()).days) == (ana, "Needed.", 29)
    assert decide(as_ana, finding, "withdraw") == (302, "/clusters/prod-eu/posture")
    assert fresh(finding).acceptance() is None


@pytest.mark.parametrize("days", ["", "-4", "9" * 300, "\u0663", "many"])
def test_odd_days_are_held_to_what_makes_sense(as_ana: Client, finding: PostureFinding, days: str) -> None:
    decide(as_ana, finding, "accept", reason="Needed.", days=days)
    acceptance = fresh(finding).acceptance()
    assert acceptance is not None
    assert 0 <= (acceptance.until - timezone.now()).days <= 365


def test_without_a_reason_nothing_is_accepted_and_the_page_says_why(as_ana: Client, finding: PostureFinding) -> None:
    response = as_ana.post(f"/findings/{finding.pk}/decide", {"action": "accept"}, follow=True)
    assert "Say in a sentence why it may stay" in response.content.decode()
    assert fresh(finding).acceptance() is None


def test_a_finding_is_marked_fixed_once(as_ana: Client, finding: PostureFinding, ana: User) -> None:
    decide(as_ana, finding, "fixed")
    assert fresh(finding).fixed_by == ana
    response = as_ana.post(f"/findings/{finding.pk}/decide", {"action": "fixed"}, follow=True)
    assert "fixed already" in response.content.decode()


def test_a_viewer_decides_nothing(as_vic: Client, finding: PostureFinding) -> None:
    assert decide(as_vic, finding, "fixed")[0] == 403
    assert fresh(finding).closed_at is None


def test_an_alert_shows_its_findings_and_those_of_its_cluster_and_decides_there(
    as_ana: Client, cluster: Cluster, finding: PostureFinding
) -> None:
    alert: Alert = make_alert(cluster, evidence={"policies": {"findings": [], "summary": "2 open findings"}})
    own = make_finding(cluster, title="user own", kind="equals", alert=alert)
    make_finding(cluster, title="user other", kind="equals", alert=make_alert(cluster, "other"))
    assert "user own" not in as_ana.get("/clusters/prod-eu/posture").content.decode()
    page = as_ana.get(alert.get_absolute_url()).content.decode()
    assert "user eve" in page
    assert "user own" in page
    assert "user other" not in page
    place = {"alert": str(alert.pk)}
    assert decide(as_ana, own, "fixed", **place) == (302, f"/alerts/{alert.pk}?#step-policies")
    problem = as_ana.post(f"/findings/{finding.pk}/decide", {"action": "accept"} | place, headers=HTMX)
    assert problem.status_code == 422
    assert "Say in a sentence why it may stay" in problem.content.decode()
    assert "<html" not in problem.content.decode()


def test_a_decision_on_an_alert_that_is_none_answers_with_the_cluster(as_ana: Client, finding: PostureFinding) -> None:
    assert decide(as_ana, finding, "fixed", alert="77777") == (302, "/clusters/prod-eu/posture")
