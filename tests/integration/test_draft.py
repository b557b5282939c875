"""What each group is told, written beforehand: true, useful, and harmless whatever the evidence holds."""

import importlib
import pkgutil
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from alerts import detections
from alerts.models import Alert, Cluster, RemedyItem, Revocation, Stakeholder
from alerts.services import draft, posture, remedies, standing, workflow
from alerts.services.investigation.use import GRAVE
from tests.factories import make_alert, make_finding

# Each detection is a module that says its name.
DETECTIONS = {
    module.NAME
    for found in pkgutil.iter_modules(detections.__path__, f"{detections.__name__}.")
    if hasattr(module := importlib.import_module(found.name), "NAME")
}
GROUPS = Stakeholder.Group.values
HOSTILE = "<!channel> <http://evil|x>\nBcc: everybody@example.org\u202e {{ alert }} {% now %}"


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    return make_alert(cluster)


def leave(alert: Alert, title: str, state: str, note: str = "") -> RemedyItem:
    """Have something left behind, and a look at the policies, as an investigation records them."""
    item = {"kind": "other", "title": title, "state": state, "note": note, "object": [], "command": "", "by": "x"}
    remedies.record(alert, [item | {"at": "", "besides": False}])
    gathered: dict[str, Any] = {"summary": "As gathered.", "chips": []}
    alert.evidence = {"remedy": gathered, "policies": gathered | {"findings": []}}
    alert.save()
    return RemedyItem.objects.get(title=title)


def answer(alert: Alert, key: str, outcome: str, by: User, reason: str = "") -> None:
    alert.refresh_from_db()
    workflow.answer(alert, key, outcome, by=by, version=alert.version, reason=reason)
    alert.refresh_from_db()


@pytest.mark.parametrize("group", GROUPS)
def test_without_any_evidence_it_says_what_is_unknown(alert: Alert, group: str) -> None:
    written = draft.compose(alert, group)
    assert written.subject == f"[Critical] ClusterRole metrics-scraper-v2 created in prod-eu (RC-{alert.pk})"
    assert "prod-eu" in written.text
    assert "The role has not been revoked." in written.text
    assert "None" not in written.text
    assert "\n\n\n" not in written.text


def test_security_reads_the_facts_and_what_is_not_known(alert: Alert, ana: User) -> None:
    alert.story = [["strong", "ci-deployer"], ["", " created a role that permits "], ["strong", "everything"]]
    alert.evidence = {
        "creator": {
            "summary": "first seen from this address",
            "address": "203.0.113.77",
            "client": "python-requests/2.32.3",
            "allowed_by": {"role": "platform-deployer", "role_kind": "ClusterRole"},
        },
        "permissions": {"summary": "new access that nobody held"},
    }
    alert.evidence_at = timezone.now()
    alert.save()
    answer(alert, "creator", "not_authorised", ana, "deploys never run from outside")
    answer(alert, "use", "unclear", ana)
    text = draft.compose(alert, "security").text
    assert "ci-deployer created a role that permits everything" in text
    for fact in (
        "From address: 203.0.113.77",
        "Client: python-requests/2.32.3",
        "Allowed by: ClusterRole platform-deployer",
    ):
        assert fact in text
    assert "Not authorised (deploys never run from outside). first seen from this address" in text
    known, unknown = text.split("WHAT WE DO NOT KNOW")
    assert "new access that nobody held" in known
    assert "What it permits: not answered yet." in unknown
    assert "What was done with it: the evidence does not suffice to tell." in unknown


def test_it_reads_what_to_check_and_fix(alert: Alert) -> None:
    leave(alert, "DaemonSet kube-system/node-exporter-x", "there", note="privileged")
    leave(alert, "Token of kube-system/metrics-scraper", "unknown")
    make_finding(alert.cluster)
    text = draft.compose(alert, "it").text
    left_behind = (
        "LEFT BEHIND, TO BE REMOVED OR EXPLAINED\n- DaemonSet kube-system/node-exporter-x: still there (privileged)"
    )
    assert f"{left_behind}\n- Token of kube-system/metrics-scraper\n" in text
    assert "POLICIES TO FIX\n- May escalate: give roles more than they hold themselves: 1\n" in text


def test_what_was_dealt_with_since_is_told_so(alert: Alert, ana: User) -> None:
    """Neither the page nor a message repeats how it stood when the evidence was gathered."""
    removed, ticked = leave(alert, "Secret a/removed", "there"), leave(alert, "Token of a/ticked", "unknown")
    leave(alert, "Pod a/left", "there")
    finding, other = make_finding(alert.cluster), make_finding(alert.cluster, title="user mallory")
    remedies.tick_removed(alert, [removed.pk], by=ana)
    remedies.tick(ticked, by=ana)
    posture.mark_fixed(finding, by=ana)
    posture.accept(other, by=ana, reason="Known.")
    text = draft.compose(alert, "it").text
    left, also = (
        "Pod a/left: still there",
        ["Secret a/removed: dealt with, gone already", "Token of a/ticked: dealt with"],
    )
    assert "\n- ".join(["TO BE REMOVED OR EXPLAINED", left, *also]) in text
    assert "May escalate" not in text
    assert standing.evidence(alert, "policies")["summary"].startswith("No open findings; 1 accepted")
    assert standing.evidence(alert, "remedy")["chips"] == [["high", "1 still there"]]
    answer(alert, "policies", "reviewed", ana)
    kept = alert.steps.get(key="policies").answer()
    assert kept is not None
    assert kept.evidence["summary"].startswith("No open findings")


@pytest.mark.parametrize("detection", sorted(DETECTIONS))
def test_what_happened_is_told_as_it_was(cluster: Cluster, detection: str) -> None:
    """Nobody reads that rights were created where they were deleted, or where the audit stream fell silent."""
    alert = make_alert(cluster, detection=detection, object=None)
    management, it = (draft.compose(alert, group).text for group in ("management", "it"))
    assert ("created access rights" in management) == (detection in {"cluster_role_created", "role_created"})
    by_somebody = detection not in {
        "unaudited_change", "audit_stream_silent", "audit_data_damaged", "cluster_out_of_reach"
    }  # fmt: skip
    assert ("somebody using the account ci-deployer" in management) == by_somebody
    assert ("It was done by ci-deployer at 2026-" in it) == by_somebody
    assert ("With rights like these" in management) == (by_somebody or detection == "unaudited_change")
    assert "put it back" not in it


def test_an_attempt_is_no_deed(cluster: Cluster) -> None:
    text = draft.compose(make_alert(cluster, attempted=True), "management").text
    assert "ci-deployer tried to change access rights" in text
    assert "The cluster refused the attempt." in text


def test_of_every_grave_purpose_management_reads_a_sentence() -> None:
    assert set(draft._SEEN) == {purpose.value for purpose in GRAVE}


def test_management_reads_it_in_plain_words(alert: Alert, ana: User) -> None:
    alert.evidence = {"use": {"chips": [["critical", "Exfiltration"], ["high", "Something new"]]}}
    alert.save()
    before = draft.compose(alert, "management").text
    assert "somebody could take over the cluster" in before
    assert "Since then we have seen:\n- Confidential data was read.\n\nWHAT IS DONE" in before
    assert "We do not know yet whether it was meant well." in before
    answer(alert, "use", "misused", ana)
    assert "what was done with it: misused" in draft.compose(alert, "management").text
    for jargon in ("uid", "203.0.113.77", "User-Agent"):
        assert jargon not in before


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (Revocation.State.DONE, "The role was revoked at 2026-"),
        (Revocation.State.RUNNING, "The role is being revoked."),
        (Revocation.State.FAILED, "Revoking the role did not work completely"),
        (Revocation.State.CALLED_OFF, "The role has not been revoked."),
    ],
)
def test_it_says_whether_the_role_still_stands(alert: Alert, ana: User, state: str, sentence: str) -> None:
    at = timezone.now().replace(year=2026)
    Revocation.objects.create(alert=alert, plan={}, state=state, requested_by=ana, finished_at=at)
    for group in GROUPS:
        assert sentence in draft.compose(alert, group).text


@pytest.mark.parametrize("group", GROUPS)
def test_what_an_attacker_named_is_harmless(cluster: Cluster, group: str, ana: User) -> None:
    alert = make_alert(cluster, HOSTILE, actor=HOSTILE, story=[["code", HOSTILE]])
    finding = {"findings": [{"title": HOSTILE}], "summary": HOSTILE}
    alert.evidence = {
        key: finding | {"address": HOSTILE, "client": HOSTILE} for key in ("creator", "remedy", "policies")
    }
    alert.save()
    written = draft.compose(alert, group)
    assert "\n" not in written.subject
    assert not any(line.startswith("Bcc:") for line in written.text.splitlines())
    assert "http://evil" not in written.subject + written.text
    assert "\u202e" not in written.subject + written.text
    assert "{{ alert }}" in written.text


@pytest.mark.parametrize(
    "evidence",
    [
        {"creator": None},
        {"creator": []},
        {"remedy": {"items": [None, 3, {}]}},
        {"policies": "x"},
        {"policies": {"items": 7}},
    ],
)
def test_evidence_of_another_shape_breaks_nothing(alert: Alert, evidence: dict[str, Any]) -> None:
    alert.evidence = evidence
    alert.save()
    for group in GROUPS:
        assert draft.compose(alert, group).text


def test_long_lists_are_cut_and_say_so(alert: Alert) -> None:
    for number in range(14):
        leave(alert, f"workload {number}", "unknown")
    text = draft.compose(alert, "it").text
    assert "- workload 9\n- and 4 more, on the alert’s page" in text
