"""Audit events told as acts."""

from datetime import date
from typing import Any

import pytest

from alerts.audit.decode import decode
from alerts.services.investigation.acts import Act, Outcome, act_of, told
from alerts.services.investigation.attack import INFINITIVES, PATTERNS, TECHNIQUES, Purpose
from alerts.services.investigation.timeline import entries
from tests.conftest import RECORDINGS
from tests.unit.audit.events import decoded


def event(verb: str, resource: str, **changes: Any) -> dict[str, Any]:
    about = {key: changes.pop(key, "") for key in ("group", "name", "namespace", "subresource")}
    made = {
        "auditID": "a",
        "stage": "ResponseComplete",
        "level": "Request",
        "verb": verb,
        "requestURI": "/somewhere",
        "user": {"username": "eve", "groups": ["system:authenticated"]},
        "requestReceivedTimestamp": "2026-11-23T17:52:12.500000Z",
        "responseStatus": {"code": 201 if verb == "create" else 200},
        "objectRef": {"resource": resource, "apiGroup": about.pop("group"), **about},
    }
    return made | changes


def act(verb: str, resource: str, **changes: Any) -> Act:
    found = act_of(decoded(event(verb, resource, **changes)))
    assert found is not None
    return found


def sentence(one: Act) -> str:
    return "".join(text for _, text in one.text)


def recorded(name: str) -> list[Act]:
    events = decode((RECORDINGS / f"{name}.jsonl").read_bytes()).events
    return told(found for each in events if each.stage == "ResponseComplete" and (found := act_of(each)))


def test_the_recorded_attack_is_told_in_order() -> None:
    assert [sentence(one) for one in recorded("clusterrole-takeover")] == [
        "asked what it may do",
        "listed the roles or bindings",
        "created the role metrics-scraper-v2",
        "created account kube-system/metrics-scraper",
        "bound ClusterRole metrics-scraper-v2 to service account kube-system/metrics-scraper",
        "issued a token for account kube-system/metrics-scraper",
        "listed all secrets of the whole cluster",
        "read 3 secrets in payments",
        "listed all configmaps of the whole cluster",
        "tried to run sh -c id in pod web/web-7c9d",
        "scheduled CronJob kube-system/kube-metrics-sync",
        "started DaemonSet kube-system/node-exporter-x",
        "deleted all events in web",
    ]


def test_the_recorded_attack_is_marked_with_its_techniques() -> None:
    techniques = {sentence(one): one.techniques for one in recorded("clusterrole-takeover")}
    assert techniques["read 3 secrets in payments"] == ("T1552.007",)
    assert techniques["issued a token for account kube-system/metrics-scraper"] == ("T1528",)
    assert techniques["tried to run sh -c id in pod web/web-7c9d"] == ("T1609",)
    assert techniques["scheduled CronJob kube-system/kube-metrics-sync"] == ("T1053.007", "T1610", "T1611")
    assert techniques["started DaemonSet kube-system/node-exporter-x"] == ("T1610", "T1611")
    assert techniques["deleted all events in web"] == ("T1070",)


def test_reading_three_secrets_names_them() -> None:
    (read,) = [one for one in recorded("clusterrole-takeover") if "3 secrets" in sentence(one)]
    assert read.detail == "db-credentials, stripe-api-key, tls-wildcard"
    assert len(read.events) == 3


def test_what_was_refused_is_said_to_be_refused() -> None:
    assert [sentence(one) for one in recorded("refused-escalation")] == [
        "tried to create the role (its name was not recorded), and was refused",
        "tried to create the role debug-everything, and was refused",
        "tried to change the role pod-log-reader, and was refused",
    ]


def test_a_rehearsal_is_no_deed() -> None:
    rehearsed = [one for one in recorded("binding-to-admin") if one.outcome == Outcome.REHEARSED]
    assert [sentence(one) for one in rehearsed] == ["created the role never-made as a rehearsal only"]
    assert rehearsed[0].heat == "warm"


def test_an_allowed_decision_with_403_is_a_refusal() -> None:
    allowed = act(
        "create",
        "secrets",
        name="x",
        namespace="web",
        responseStatus={"code": 403},
        annotations={"authorization.k8s.io/decision": "allow"},
    )
    assert allowed.outcome == Outcome.REFUSED


@pytest.mark.parametrize(
    ("seconds", "span"),
    [(31_536_000, "1 year"), (86_400, "1 day"), (7200, "2 hours"), (600, "10 minutes"), (30, "30 seconds")],
)
def test_a_token_says_how_long_it_lives(seconds: int, span: str) -> None:
    issued = act(
        "create",
        "serviceaccounts",
        subresource="token",
        namespace="web",
        name="bot",
        requestObject={"kind": "TokenRequest", "spec": {"expirationSeconds": seconds}},
    )
    assert sentence(issued) == f"issued a token for {span} for account web/bot"
    assert issued.detail == ""


def test_a_token_whose_life_was_not_recorded_says_so() -> None:
    issued = act("create", "serviceaccounts", subresource="token", namespace="web", name="bot", level="Metadata")
    assert issued.detail == "how long it lives was not recorded"


def test_a_workload_whose_body_was_not_recorded_is_not_called_harmless() -> None:
    started = act("create", "daemonsets", group="apps", namespace="web", name="x", level="Metadata")
    assert started.detail == "what it runs was not recorded"


def test_exec_by_get_is_exec_too() -> None:
    ran = act(
        "get",
        "pods",
        subresource="exec",
        namespace="web",
        name="p",
        requestURI="/api/v1/namespaces/web/pods/p/exec?command=cat&command=/etc/shadow",
        responseStatus={"code": 101},
    )
    assert sentence(ran) == "ran cat /etc/shadow in pod web/p"
    assert ran.purpose == Purpose.EXECUTION


def test_impersonation_is_told_of_the_impersonated_and_marked() -> None:
    read = act("get", "secrets", namespace="web", name="s", impersonatedUser={"username": "admin"})
    assert read.by == "admin"
    assert "T1134" in read.techniques


def test_acts_of_different_people_are_not_told_together() -> None:
    one = act("get", "secrets", namespace="web", name="a")
    other = act("get", "secrets", namespace="web", name="b", user={"username": "bob"})
    assert len(told([one, other])) == 2


def test_acts_far_apart_are_not_told_together() -> None:
    one = act("get", "secrets", namespace="web", name="a")
    later = act("get", "secrets", namespace="web", name="b", requestReceivedTimestamp="2026-11-23T18:52:12Z")
    assert len(told([one, later])) == 2


def test_of_many_acts_the_timeline_shows_the_hottest() -> None:
    """A look into seventy namespaces does not push out what was read after it."""
    looks = [act("get", "configmaps", namespace=f"team-{number}", name="settings") for number in range(70)]
    theft = act("get", "secrets", namespace="payments", name="db")
    timeline = entries([*looks, theft], day=date(2026, 11, 23), limit=60)
    assert timeline["left_out"] == 11
    shown = ["".join(text for _, text in entry["text"]) for entry in timeline["shown"]]
    assert shown == [sentence(one) for one in (*looks[:59], theft)]
    newest = entries([*looks, theft], day=date(2026, 11, 23), limit=2, newest=True)
    assert [entry["heat"] for entry in newest["shown"]] == [looks[-1].heat, "hot"]


def test_the_same_act_again_is_counted() -> None:
    deleted = [act("deletecollection", "events", namespace="web") for _ in range(3)]
    (merged,) = told(deleted)
    assert merged.detail == "3 times"


def test_what_is_not_worth_telling_is_not_told() -> None:
    assert act_of(decoded(event("list", "pods", namespace="web"))) is None


def test_a_name_with_markup_stays_a_name() -> None:
    read = act("get", "secrets", namespace="web", name="<img src=x>{where}")
    assert ["code", "web/<img src=x>{where}"] in read.text


def test_every_technique_has_a_name_and_every_sentence_an_infinitive() -> None:
    assert {technique for pattern in PATTERNS for technique in pattern.techniques} <= TECHNIQUES.keys()
    assert {pattern.past.split()[0] for pattern in PATTERNS} <= INFINITIVES.keys()
    assert {pattern.everything.split()[0] for pattern in PATTERNS if pattern.everything} <= INFINITIVES.keys()
