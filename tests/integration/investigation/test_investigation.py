"""What an investigation finds in the recorded scenarios, from events alone."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoDbBlocker, Settings

from alerts.models import AccessVersion, Alert, AuditEvent, Cluster
from alerts.services import investigation
from tests.integration.reader import change
from tests.recorded import ATTACK, BEFORE, as_list, events, gathered, take_in, take_in_recordings, told
from tests.unit.audit.events import role
from tests.unit.detections.examples import bare

TAKEOVER = "ClusterRole metrics-scraper-v2 created"


@pytest.fixture
def attack(cluster: Cluster) -> Alert:
    """The alert on the recorded attack, with what came before it taken in too."""
    return gathered(take_in_recordings(cluster, *BEFORE, ATTACK)[TAKEOVER])


@pytest.fixture(scope="module")
def investigated(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Alert:
    """That alert as it was investigated once, for tests that only read what was found: it is in no database now."""
    with django_db_blocker.unblock(), transaction.atomic():
        opened = take_in_recordings(Cluster.objects.create(name="prod-eu"), *BEFORE, ATTACK)
        alert = gathered(opened[TAKEOVER])
        transaction.set_rollback(True)
    return alert


def evidence_of(cluster: Cluster, title: str, *names: str) -> Alert:
    return gathered(take_in_recordings(cluster, *names)[title])


def lines(acts: dict[str, Any]) -> list[str]:
    return ["".join(text for _, text in act["text"]) for act in acts["shown"]]


def test_the_attack_is_critical_and_its_story_says_why(investigated: Alert) -> None:
    assert (investigated.severity, investigated.score) == ("critical", 100)
    assert told(investigated) == (
        "ci-deployer, from an address and with a client new to it (203.0.113.77, python-requests), created a role that "
        "permits everything, and bound it within a second to the service account kube-system/metrics-scraper. That "
        "account has since read 3 secrets in payments, started a privileged DaemonSet kube-system/node-exporter-x and "
        "deleted all events in web, and done 2 more things."
    )


def test_the_creator_is_told_with_address_client_and_the_right_it_used(investigated: Alert) -> None:
    creator = investigated.evidence["creator"]
    assert (creator["actor"], creator["address"], creator["client"]) == (
        "ci-deployer",
        "203.0.113.77",
        "python-requests/2.32.3",
    )
    assert creator["observed"] == "127.0.0.1"
    assert creator["allowed_by"]["role"] == "platform-deployer"
    assert creator["allowed_by"]["binding"] == "ClusterRoleBinding platform-deployer"
    assert creator["chips"] == [["high", "New address"], ["high", "New client"]]


def test_what_is_new_of_the_creator_is_counted_against_what_it_did_before(investigated: Alert) -> None:
    seen = {sighting["what"]: sighting for sighting in investigated.evidence["creator"]["sightings"]}
    assert not seen["actor"]["new"]
    assert seen["address"]["new"]
    assert seen["client"]["new"]
    # The four requests by which the intruder looked around came from there too, milliseconds before.
    assert (seen["address"]["count"], seen["address"]["of"]) == (4, 16)
    assert (seen["address"]["first"], seen["actor"]["first"]) == ("less than 1 s before", "6 s before")
    assert seen["actor"]["anybody"]["first"] == "6 s before"
    assert seen["address"]["anybody"] == {}
    assert "It is not usual" in investigated.evidence["creator"]["usual"]
    assert "Helm/3.16.2 from 10.20.9.2" in investigated.evidence["creator"]["usual"]


@pytest.mark.parametrize("made_up", [["10.20.9.2"], ["10.20.9.2", "127.0.0.1"]])
@pytest.mark.parametrize("proxies", [[], ["127.0.0.1"]])
def test_made_up_addresses_make_nobody_usual(cluster: Cluster, made_up: list[str], proxies: list[str]) -> None:
    take_in_recordings(cluster, *BEFORE)
    attack = [event | {"sourceIPs": [*made_up, "198.51.100.7", *proxies]} for event in events(ATTACK)]
    opened = {alert.title: alert for alert in take_in(cluster, as_list(attack))}
    creator = gathered(opened[TAKEOVER]).evidence["creator"]
    seen = {sighting["what"]: sighting for sighting in creator["sightings"]}
    assert (seen["address"]["value"], seen["address"]["new"]) == ("198.51.100.7", True)
    # Batches mention what requests say of themselves.
    assert seen["address"]["anybody"] is None
    assert creator["chips"] == [["high", "New address"], ["high", "New client"]]
    assert "It is not usual" in creator["usual"]


def test_nothing_is_called_new_where_no_history_is_stored(cluster: Cluster) -> None:
    creator = evidence_of(cluster, TAKEOVER, ATTACK).evidence["creator"]
    assert not any(sighting["new"] for sighting in creator["sightings"])
    assert creator["chips"] == []


def test_the_role_is_held_against_every_baseline(investigated: Alert) -> None:
    permissions = investigated.evidence["permissions"]
    verdicts = [(each["against"], each["name"], each["verdict"]) for each in permissions["verdicts"]]
    assert verdicts == [
        ("the role before", "", "new access"),
        ("default role", "cluster-admin", "equivalent"),
        ("peer", "platform-deployer", "new access"),
    ]
    assert permissions["capabilities"][0]["title"] == "Everything, future APIs included"
    assert permissions["chips"] == [["critical", "New access"]]
    assert permissions["fit"]["name"] == "cluster-admin"


def test_every_capability_has_a_rule_a_request_and_a_command(investigated: Alert) -> None:
    for capability in investigated.evidence["permissions"]["capabilities"]:
        assert capability["techniques"]
        assert all(proof["rule"] and proof["request"] for proof in capability["proofs"])
        assert all(proof["command"].startswith("kubectl auth can-i ") for proof in capability["proofs"])


def test_who_gains_it_is_told_without_claiming_what_nobody_knows(investigated: Alert) -> None:
    (gainer,) = investigated.evidence["permissions"]["gainers"]
    assert gainer["who"] == "service account kube-system/metrics-scraper"
    assert gainer["binding"] == "ClusterRoleBinding metrics-scraper-v2"
    # Only events were sent: other bindings of the account may exist.
    assert gainer["before"] == "What else it may do is unknown: the cluster’s bindings were never listed."


def test_the_score_lists_what_it_is_made_of(investigated: Alert) -> None:
    labels = [label for label, _ in investigated.factors]
    assert labels[0] == "Everything, future APIs included"
    assert "it has been used already" in labels
    assert investigated.factors == investigated.evidence["permissions"]["score"]["factors"]


def test_every_request_that_the_role_permitted_is_listed_by_who_made_it(investigated: Alert) -> None:
    use = investigated.evidence["use"]
    (account,) = use["by"]
    assert account["who"] == "system:serviceaccount:kube-system:metrics-scraper"
    assert account["bindings"] == ["ClusterRoleBinding metrics-scraper-v2"]
    assert (use["permitted"], account["count"]) == (9, 9)
    requests = {kind["request"] for kind in account["requests"]}
    assert {"list secrets", "get secrets stripe-api-key in payments", "deletecollection events in web"} <= requests
    assert use["chips"] == [["critical", "Exfiltration"], ["critical", "Persistence"], ["critical", "Covering tracks"]]


def test_the_timeline_tells_the_attack_and_nothing_of_what_came_before(investigated: Alert) -> None:
    timeline = lines(investigated.evidence["use"]["timeline"])
    assert timeline[0] == "created the role metrics-scraper-v2"
    assert "read 3 secrets in payments" in timeline
    assert "scheduled CronJob kube-system/kube-metrics-sync" in timeline
    assert not any("certkeeper" in line for line in timeline)


def test_what_was_left_behind_is_listed_with_a_command_each(investigated: Alert) -> None:
    remedy = investigated.evidence["remedy"]
    commands = {item["title"]: item["command"] for item in remedy["items"]}
    assert commands["DaemonSet kube-system/node-exporter-x"] == (
        "kubectl delete daemonsets.apps --namespace=kube-system -- node-exporter-x"
    )
    assert commands["CronJob kube-system/kube-metrics-sync"] == (
        "kubectl delete cronjobs.batch --namespace=kube-system -- kube-metrics-sync"
    )
    assert {"Token of kube-system/metrics-scraper", "Secret payments/db-credentials, read"} <= commands.keys()
    # The role and its binding are what the step before is for.
    assert not any("metrics-scraper-v2" in title for title in commands)
    assert {item["state"] for item in remedy["items"]} == {"unknown", "read"}
    assert "Rolecall may not read this cluster" in remedy["problem"]


def test_the_findings_say_who_else_could_have_done_it(investigated: Alert) -> None:
    findings = {finding["key"]: finding for finding in investigated.evidence["policies"]["findings"]}
    assert findings["makers"]["lines"] == ["user ci-deployer, its maker, by ClusterRoleBinding platform-deployer"]
    assert findings["binders"]["lines"] == ["user ci-deployer, its maker, by ClusterRoleBinding platform-deployer"]
    assert findings["audit"]["lines"] == ["token requests: how long a token lives, level Metadata; Request records it"]
    assert [each["level"] for each in investigated.evidence["policies"]["findings"]].count("soft") == 2
    # Who can do it by the role itself only is what the alert is about.
    of_role = [line for key in ("makers", "binders") for line in findings[key]["lines"]]
    assert "equals" not in findings
    assert not any("metrics-scraper-v2" in line for line in of_role)


def test_the_harmless_role_is_low_and_fits_inside_view(cluster: Cluster) -> None:
    narrow = evidence_of(cluster, "ClusterRole pod-log-reader created", *BEFORE)
    assert narrow.severity == "low"
    assert narrow.evidence["permissions"]["fit"]["name"] == "view"
    assert narrow.evidence["permissions"]["gainers"] == []
    assert narrow.evidence["permissions"]["summary"] == (
        "Nobody is bound to it yet. It permits nothing on the list of dangerous capabilities. "
        "All of it fits inside view."
    )
    assert narrow.evidence["use"]["permitted"] == 0
    assert narrow.evidence["use"]["summary"] == "No request was permitted by this role so far."


def test_a_release_is_recognised_and_still_judged_by_what_it_permits(cluster: Cluster) -> None:
    opened = take_in_recordings(cluster, *BEFORE)
    issuers = gathered(opened["ClusterRole certkeeper-controller-issuers created"])
    approver = gathered(opened["ClusterRole certkeeper-approver created"])
    assert issuers.evidence["creator"]["tool"] == {"name": "Helm", "signs": ["user agent", "field manager", "labels"]}
    assert (issuers.severity, approver.severity) == ("high", "low")
    assert "made like a release by Helm, and nothing of it is new to its maker" in dict(issuers.factors)


def test_an_aggregated_role_says_where_it_counts(cluster: Cluster) -> None:
    viewer = evidence_of(cluster, "ClusterRole certkeeper-view created", *BEFORE)
    assert "view" in viewer.evidence["permissions"]["feeds"]
    assert "Its label adds it to view" in told(viewer)


def test_refused_attempts_weigh_less_than_the_role_would(cluster: Cluster) -> None:
    opened = take_in_recordings(cluster, *BEFORE)
    escalation = gathered(opened["Attempt to create ClusterRole debug-everything"])
    nameless = gathered(opened["Attempt to create an unnamed ClusterRole"])
    assert (escalation.score, escalation.severity) == (50, "medium")
    assert nameless.severity == "medium"
    assert told(escalation).endswith("and the API server refused it: it does not hold what the role would permit.")
    assert told(nameless).endswith(
        "(neither its name nor its rules were recorded), and the API server refused it: it may not create roles."
    )
    assert nameless.evidence["permissions"]["summary"] == "What it would have permitted was not recorded."
    assert "cannot create resource" in nameless.evidence["creator"]["refused"]


def at_level_metadata(recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    bodies = {"requestObject", "responseObject"}
    return [
        {key: value for key, value in event.items() if key not in bodies} | {"level": "Metadata"} for event in recorded
    ]


def test_rules_that_nobody_recorded_are_unknown_and_not_empty(cluster: Cluster) -> None:
    opened, *_ = take_in(cluster, as_list(at_level_metadata(events(ATTACK))))
    alert = gathered(opened)
    permissions = alert.evidence["permissions"]
    assert not permissions["known"]
    assert permissions["chips"] == [["medium", "Unknown"]]
    assert permissions["summary"].startswith("What it permits is unknown")
    assert "its rules were not recorded: it may permit anything" in dict(alert.factors)
    # What it was seen to permit counts all the same.
    assert alert.score >= 60
    assert "(its rules were not recorded)" in told(alert)
    assert alert.evidence["use"]["permitted"] == 9


def test_rules_that_whoever_wrote_them_kept_out_of_the_answer_weigh_more_than_unrecorded_ones(cluster: Cluster) -> None:
    answer = bare(role(resourceVersion="4712"))
    (opened,) = take_in(cluster, as_list([change(2, "4712", requestObject={"rules": []}, responseObject=answer)]))
    alert = gathered(opened)
    assert alert.severity == "high"
    assert "asked for an answer that does not show its rules" in alert.factors[0][0]


def test_gathering_again_comes_to_the_same(attack: Alert) -> None:
    again = gathered(attack)
    assert again.evidence == attack.evidence
    assert (again.story, again.score, again.factors) == (attack.story, attack.score, attack.factors)


def test_what_other_services_keep_as_evidence_stays(attack: Alert) -> None:
    attack.evidence = attack.evidence | {"revoke": {"summary": "Gone.", "chips": []}}
    attack.save(update_fields=["evidence"])
    assert gathered(attack).evidence["revoke"] == {"summary": "Gone.", "chips": []}


def test_an_alert_gets_a_time_to_respond_by_once(attack: Alert) -> None:
    Alert.objects.update(historical=False)
    attack = gathered(attack)
    assert attack.respond_by is not None
    assert (attack.respond_by - attack.opened_at).total_seconds() == 15 * 60
    assert gathered(attack).respond_by == attack.respond_by


def test_what_turns_out_graver_leaves_less_time_to_respond(attack: Alert) -> None:
    """A role that nobody held gives hours; once it is bound to somebody, they are minutes from then on."""
    Alert.objects.filter(pk=attack.pk).update(historical=False, respond_by=timezone.now() + timedelta(hours=8))
    before = timezone.now()
    respond_by = gathered(attack).respond_by
    assert respond_by is not None
    assert before + timedelta(minutes=15) <= respond_by <= timezone.now() + timedelta(minutes=15)


def test_use_that_comes_later_makes_the_alert_due_and_is_found(cluster: Cluster) -> None:
    recorded = events(ATTACK)
    opened, *_ = take_in(cluster, as_list(recorded[:8]))
    first = gathered(opened)
    assert first.evidence["use"]["permitted"] == 0
    assert not Alert.objects.get(pk=first.pk).evidence_due
    take_in(cluster, as_list(recorded[8:]))
    assert Alert.objects.get(pk=first.pk).evidence_due
    assert gathered(first).evidence["use"]["permitted"] == 9


def test_a_batch_about_others_makes_nothing_due(cluster: Cluster) -> None:
    opened = take_in_recordings(cluster, "narrow-role")
    alert = gathered(opened["ClusterRole pod-log-reader created"])
    take_in_recordings(cluster, ATTACK)
    assert not Alert.objects.get(pk=alert.pk).evidence_due


def test_a_new_binding_by_somebody_else_makes_the_alert_due(cluster: Cluster) -> None:
    recorded = events(ATTACK)
    (opened,) = take_in(cluster, as_list(recorded[:5]))
    gathered(opened)
    binding = recorded[6] | {"user": {"username": "somebody-else", "groups": ["system:authenticated"]}}
    take_in(cluster, as_list([binding]))
    assert Alert.objects.get(pk=opened.pk).evidence_due
    assert "somebody-else bound it" in told(gathered(opened))


def test_what_is_never_gathered_or_due_is_picked_up_by_the_sweep(attack: Alert) -> None:
    assert attack.pk not in investigation.due()
    Alert.objects.filter(pk=attack.pk).update(evidence_at=None)
    assert attack.pk in investigation.due()


def test_a_restless_actor_does_not_have_its_alert_investigated_without_rest(attack: Alert) -> None:
    Alert.objects.filter(pk=attack.pk).update(evidence_due=True)
    assert attack.pk not in investigation.due()


def test_a_failure_is_told_on_the_alert_and_tried_again(attack: Alert) -> None:
    AccessVersion.objects.update(manifest=["damaged"])
    with pytest.raises(TypeError):
        investigation.gather(attack)
    failed = Alert.objects.get(pk=attack.pk)
    assert failed.evidence_due
    assert failed.evidence_error == "The evidence could not be gathered: TypeError. It is tried again every minute."
    assert failed.evidence == attack.evidence


def test_batches_under_a_lost_key_are_said_to_be_missing(attack: Alert, settings: Settings) -> None:
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    again = gathered(attack)
    assert again.evidence["use"]["permitted"] == 0
    assert again.evidence["use"]["searched"]["gaps"] == (
        "Not all: 2 stored parts are under a key that is not in CREDENTIAL_KEYS."
    )


def test_hostile_text_is_kept_and_hurts_nobody(cluster: Cluster) -> None:
    recorded = json.loads(json.dumps(events(ATTACK)[:8]).replace("ci-deployer", "<b>\\u0000\\ud800\\u202eevil"))
    opened = take_in(cluster, as_list(recorded))
    assert opened
    alert = gathered(opened[0])
    assert told(alert).startswith("<b>\\x00")


def test_secrets_in_commands_are_not_kept(cluster: Cluster) -> None:
    recorded = events(ATTACK)
    for event in recorded:
        if event.get("objectRef", {}).get("subresource") == "exec":
            event["requestURI"] += "&command=-H&command=Authorization:+Bearer+sekrit0123456789"
    opened, *_ = take_in(cluster, as_list(recorded))
    assert "sekrit0123456789" not in json.dumps(gathered(opened).evidence)


def test_an_alert_without_its_event_is_investigated_all_the_same(attack: Alert) -> None:
    attack.events.clear()
    assert AuditEvent.objects.exists()
    assert gathered(attack).evidence["creator"]["summary"] == "The audit event is not stored any more."
