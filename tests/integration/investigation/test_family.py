"""How bad each kind of alert is, and what it says: from what is granted and to whom, not from the event's name."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts import rbac
from alerts.audit.visible import visible
from alerts.models import Alert, Cluster, Revocation
from alerts.services import revocation, watch
from tests.recorded import as_list, gathered, take_in, take_in_recordings, told
from tests.unit.audit.events import metadata_only, reading
from tests.unit.detections.examples import (
    ESCALATION,
    EVERYTHING,
    PODS,
    SECRETS,
    STATUS,
    filled,
    manifest,
    reference,
    refusal,
    user,
    write,
)  # fmt: skip
from tests.unit.detections.test_certificate_approved import approval
from tests.unit.detections.test_token_issued import token

EVIL = "<img src=x onerror=alert(1)>\u202e"
ANYBODY = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"}
ADMIN_LABEL = "rbac.authorization.k8s.io/aggregate-to-admin"
ADMIN = manifest(
    name="admin", rules=None, aggregationRule={"clusterRoleSelectors": [{"matchLabels": {ADMIN_LABEL: "true"}}]}
)


def at(second: int) -> dict[str, str]:
    return {"requestReceivedTimestamp": f"2026-11-23T18:00:{second:02}.000000Z", "auditID": f"request {second}"}


def made(after: dict[str, Any], second: int = 1, **changes: Any) -> dict[str, Any]:
    uid = after["metadata"] | {"uid": f"{after['kind']} {after['metadata']['name']}"}
    return write(after | {"metadata": uid}, "create", 201, **(at(second) | changes))


def changed(after: dict[str, Any], second: int = 9, **changes: Any) -> dict[str, Any]:
    uid = after["metadata"] | {"uid": f"{after['kind']} {after['metadata']['name']}", "resourceVersion": "9"}
    return write(after | {"metadata": uid}, **(at(second) | changes))


def bound(name: str, role: str, *subjects: dict[str, str]) -> dict[str, Any]:
    return manifest("ClusterRoleBinding", name, roleRef=reference(role), subjects=list(subjects))


def last(cluster: Cluster, *events: dict[str, Any]) -> Alert:
    """Take in events, and return the alert that the last of them opened, investigated."""
    take_in(cluster, as_list(events[:-1]))
    return gathered(take_in(cluster, as_list(events[-1:]))[-1])


def test_a_binding_is_as_bad_as_what_it_gives_and_to_whom(cluster: Cluster) -> None:
    roles = [made(manifest(name="all", rules=EVERYTHING)), made(manifest(name="pods", rules=PODS))]
    harmless = last(cluster, *roles, made(bound("a", "pods", user("eve")), 5))
    everything = last(cluster, made(bound("b", "all", user("eve")), 6))
    public = last(cluster, made(bound("c", "pods", ANYBODY), 7))
    assert harmless.severity == "low"
    assert everything.severity == "critical"
    assert public.score >= 80
    assert ", anybody without log-in among them" in public.evidence["permissions"]["summary"]
    assert "among them" not in everything.evidence["permissions"]["summary"]
    assert "bound all to the user eve, which permits everything" in told(everything)
    assert "anybody without log-in" in told(public)
    assert everything.evidence["permissions"]["gainers"][0]["who"] == "user eve"


def test_what_a_binding_gives_those_who_had_it_weighs_little(cluster: Cluster) -> None:
    before = [made(manifest(name="all", rules=EVERYTHING)), made(bound("a", "all", user("eve")), 2)]
    again = last(cluster, *before, made(bound("b", "all", user("eve")), 5))
    assert again.severity in {"low", "medium"}
    assert any("could do this already" in label for label, _ in again.factors)


def test_a_binding_that_gets_a_new_subject_is_judged_by_that_one(cluster: Cluster) -> None:
    before = [made(manifest(name="all", rules=EVERYTHING)), made(bound("a", "all", user("ann")), 2)]
    alert = last(cluster, *before, changed(bound("a", "all", user("ann"), user("eve"))))
    assert (alert.detection, alert.severity) == ("binding_changed", "critical")


def test_a_binding_to_a_role_that_nobody_saw_is_unknown(cluster: Cluster) -> None:
    alert = last(cluster, made(bound("a", "nowhere", user("eve"))))
    assert alert.evidence["permissions"]["chips"] == [["medium", "Unknown"]]
    assert "what its role permits is unknown" in told(alert)


def test_a_default_role_that_nobody_saw_counts_as_kubernetes_ships_it(cluster: Cluster) -> None:
    assert last(cluster, made(bound("a", "cluster-admin", user("eve")))).severity == "critical"
    assert last(cluster, made(bound("b", "system:basic-user", user("eve")))).severity == "low"


def test_a_widened_role_is_judged_by_what_it_gained(cluster: Cluster) -> None:
    before = [made(manifest(rules=SECRETS)), made(bound("b", "reader", user("eve")), 2)]
    little = last(cluster, *before, changed(manifest(rules=[*SECRETS, *PODS])))
    assert little.title == "ClusterRole reader widened"
    assert little.severity in {"low", "medium"}
    much = changed(manifest(rules=EVERYTHING), 12)
    much["responseObject"]["metadata"]["resourceVersion"] = "12"
    grave = last(cluster, much)
    assert grave.severity == "critical"
    assert "changed the role reader, which permits everything" in told(grave)
    (verdict, *_) = grave.evidence["permissions"]["verdicts"]
    assert (verdict["against"], verdict["verdict"]) == ("the role before", "new access")


def test_a_widening_whose_baseline_comes_later_is_judged_again(cluster: Cluster) -> None:
    (alert,) = take_in(cluster, as_list([changed(manifest(rules=EVERYTHING))]))
    assert alert.title.endswith("what it permitted before is unknown")
    take_in(cluster, as_list([made(manifest(rules=PODS))]))
    assert Alert.objects.get(pk=alert.pk).title == "ClusterRole reader widened"


def test_a_change_that_changed_no_version_is_nothing_however_often(cluster: Cluster) -> None:
    alert = last(cluster, made(manifest(rules=PODS)), changed(manifest(rules=EVERYTHING)))
    assert not take_in(cluster, as_list([changed(manifest(rules=EVERYTHING), second) for second in (20, 30)]))
    assert Alert.objects.filter(detection="role_widened").get() == alert


def test_at_level_metadata_a_change_is_unknown_and_not_unchanged(cluster: Cluster) -> None:
    alert = last(cluster, made(manifest()), metadata_only(changed(manifest(rules=EVERYTHING))))
    assert alert.title == "ClusterRole reader changed, and its new rules were not recorded"
    assert not alert.evidence["permissions"]["known"]
    assert alert.severity == "medium"


def test_what_feeds_a_role_of_kubernetes_counts_as_held_where_nobody_listed_who_holds_it(cluster: Cluster) -> None:
    label = {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}
    alert = last(cluster, made(manifest(rules=SECRETS, metadata=label)))
    assert alert.severity == "critical"
    assert any("who holds that is not known" in factor for factor, _ in alert.factors)


def test_roles_that_give_the_same_at_once_excuse_each_other_of_nothing(cluster: Cluster) -> None:
    roles = [made(manifest(name=name, rules=EVERYTHING), n) for n, name in enumerate(("one", "two"), 1)]
    bindings = [made(bound(name, name, user("eve")), n) for n, name in enumerate(("one", "two"), 3)]
    opened = {alert.title: gathered(alert) for alert in take_in(cluster, as_list([*roles, *bindings]))}
    second = opened.pop("ClusterRoleBinding two created: two for user eve")
    assert {alert.severity for alert in opened.values()} == {"critical"}
    assert dict(second.factors)["user eve could do this already"] == "× 0.3"


def test_what_nobody_holds_and_was_limited_to_a_name_is_new_without_it(cluster: Cluster) -> None:
    named = manifest(rules=[EVERYTHING[0] | {"resourceNames": ["only"]}])
    alert = last(cluster, made(named), changed(manifest(rules=EVERYTHING)))
    assert alert.severity == "medium"
    assert not any("permitted the worst of that before" in label for label, _ in alert.factors)


def test_roles_widened_the_same_way_excuse_each_other_of_nothing(cluster: Cluster) -> None:
    names = ("one", "two")
    take_in(cluster, as_list([made(manifest(name=name), n) for n, name in enumerate(names, 1)]))
    take_in(cluster, as_list([made(bound(name, name, user("eve")), n) for n, name in enumerate(names, 3)]))
    widened = [changed(manifest(name=name, rules=EVERYTHING), n) for n, name in enumerate(names, 5)]
    first, _ = (gathered(alert) for alert in take_in(cluster, as_list(widened)))
    assert (first.title, first.severity) == ("ClusterRole one widened", "critical")


def test_who_is_bound_to_an_aggregated_role_later_gains_by_that_binding_and_by_no_other(cluster: Cluster) -> None:
    label = {"labels": {ADMIN_LABEL: "true"}}
    take_in(cluster, as_list([made(ADMIN), made(manifest(rules=SECRETS, metadata=label), 2)]))
    (alert,) = take_in(cluster, as_list([made(bound("b", "reader", user("ann")), 3)]))
    take_in(cluster, as_list([made(bound("c", "admin", user("eve")), 4)]))
    assert gathered(alert).evidence["permissions"]["summary"].startswith("New access for 1 subject,")


def test_a_role_put_into_an_aggregate_reaches_those_who_hold_that(cluster: Cluster) -> None:
    before = [made(ADMIN), made(bound("a", "admin", user("ann")), 2), made(manifest(rules=SECRETS), 3)]
    label = {"labels": {ADMIN_LABEL: "true"}}
    alert = last(cluster, *before, changed(manifest(rules=SECRETS, metadata=label)))
    assert alert.title == "ClusterRole reader added to admin"
    assert alert.severity == "critical"
    assert [gainer["who"] for gainer in alert.evidence["permissions"]["gainers"]] == ["user ann"]


def test_an_echo_is_put_to_its_cause_in_whichever_order_they_come(cluster: Cluster) -> None:
    label = {"labels": {ADMIN_LABEL: "true"}}
    cause = made(manifest(rules=SECRETS, metadata=label), 3)
    echo = filled(changed(ADMIN | {"rules": SECRETS})["responseObject"], **at(4))
    other = Cluster.objects.create(name="other")
    for each, order in ((cluster, [cause, echo]), (other, [echo, cause])):
        take_in(each, as_list([made(ADMIN)]))
        for event in order:
            take_in(each, as_list([event]))
        alert = Alert.objects.get(cluster=each, object__name="reader")
        assert [row.name for row in alert.events.order_by("at")] == ["reader", "admin"]
        assert Alert.objects.filter(cluster=each).count() == 2


def test_the_operators_roles_get_the_echoes_they_caused_and_no_alert_is_about_one(cluster: Cluster) -> None:
    opened = take_in_recordings(cluster, "operator-install")
    assert len(opened) == 10
    view = opened["ClusterRole certkeeper-view created"]
    assert {"view"} <= set(view.events.values_list("name", flat=True))


def test_a_deleted_role_is_told_by_what_it_permitted_and_weighs_little(cluster: Cluster) -> None:
    gone: dict[str, Any] = {"requestObject": None, "responseObject": STATUS, "verb": "delete"}
    alert = last(cluster, made(manifest(rules=EVERYTHING)), changed(manifest(), **gone))
    assert (alert.detection, alert.severity) == ("role_deleted", "low")
    assert "deleted reader, which permits everything" in told(alert)


def test_a_default_that_was_changed_is_never_low(cluster: Cluster) -> None:
    shipped = [rule.manifest() for rule in rbac.default_roles()["system:basic-user"].rules.rules]
    alert = last(cluster, changed(manifest(name="system:basic-user", rules=[*shipped, *PODS])))
    assert alert.detection == "default_role_tampered"
    assert alert.score >= 60


def test_a_refused_escalation_is_judged_by_what_was_wanted(cluster: Cluster) -> None:
    wanted = manifest(rules=EVERYTHING)
    alert = last(cluster, refusal(wanted, ESCALATION, requestObject={"rules": EVERYTHING}))
    assert (alert.detection, alert.attempted, alert.score) == ("escalation_refused", True, 50)
    assert told(alert).endswith("and the API server refused it: it does not hold what the role would permit.")
    unknown = last(cluster, refusal(manifest(name="other"), ESCALATION, requestObject=[{"op": "add"}]))
    assert unknown.severity == "medium"


def test_a_token_is_as_bad_as_what_its_account_may_do(cluster: Cluster) -> None:
    bot = {"kind": "ServiceAccount", "name": "bot", "namespace": "web"}
    Cluster.objects.filter(pk=cluster.pk).update(inventory_at=timezone.now())
    nothing = last(cluster, token("idle"))
    events = [made(manifest(name="all", rules=EVERYTHING)), made(bound("b", "all", bot), 2)]
    alert = last(cluster, *events, token())
    assert nothing.severity == "low"
    assert alert.severity == "critical"
    assert "had a token made for the service account web/bot, which permits everything" in told(alert)
    known_already = last(cluster, token(user={"username": "root", "groups": ["system:masters"]}))
    assert known_already.score < 60


def test_without_a_listing_what_an_account_may_do_is_unknown(cluster: Cluster) -> None:
    alert = last(cluster, token())
    assert alert.evidence["permissions"]["summary"].startswith("What it may do is unknown")
    assert alert.severity == "medium"


def test_a_certificate_of_the_masters_is_as_bad_as_it_gets(cluster: Cluster) -> None:
    alert = last(cluster, approval())
    assert alert.score == 100
    assert "approved a certificate for the user eve in system:masters, which permits everything" in told(alert)


def test_a_certificate_of_which_nobody_knows_whom_it_names_may_be_anybodys(cluster: Cluster) -> None:
    alert = last(cluster, approval(verb="patch", requestObject=[{"op": "add"}], responseObject=None))
    assert (alert.severity, alert.factors) == (
        "high",
        [["whom the certificate names is not known: it may be anybody", "70"]],
    )
    assert last(cluster, approval("kubernetes.io/kubelet-serving")).score < alert.score


def test_acting_as_the_masters_is_grave_unless_one_is_one(cluster: Cluster) -> None:
    masters = {"username": "root", "groups": ["system:masters"]}
    alert = last(cluster, reading() | {"impersonatedUser": masters})
    assert alert.severity == "critical"
    assert alert.evidence["creator"]["impersonator"] == "mallory@example.com"
    own = last(cluster, reading() | {"impersonatedUser": masters, "user": masters | {"username": "admin"}})
    assert own.severity == "medium"


def test_an_attempt_to_act_as_nobody_knows_whom_is_told_as_that(cluster: Cluster) -> None:
    message = 'pods is forbidden: User "mallory" cannot impersonate-on:user-info:get resource "pods" in API group ""'
    alert = last(cluster, reading() | {"responseStatus": {"code": 403, "message": message}, "annotations": {}})
    assert (alert.severity, alert.attempted) == ("medium", True)
    assert "tried to act as somebody" in told(alert)


HOSTILE: dict[str, dict[str, Any]] = {
    "cluster_role_created": made(manifest(name=EVIL)),
    "role_created": made(manifest("Role", EVIL, metadata={"namespace": "web"})),
    "role_widened": changed(manifest(name=EVIL, rules=EVERYTHING)),
    "role_aggregated": changed(manifest(name=EVIL, metadata={"labels": {ADMIN_LABEL: "true", EVIL: EVIL}})),
    "role_deleted": changed(manifest(name=EVIL), verb="delete", requestObject=None, responseObject=STATUS),
    "binding_created": made(manifest("RoleBinding", EVIL, roleRef=reference(EVIL), subjects=[user(EVIL)])),
    "binding_changed": changed(bound(EVIL, EVIL, user(EVIL))),
    "default_role_tampered": changed(
        manifest(name=EVIL, rules=EVERYTHING, metadata={"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}})
    ),
    "escalation_refused": refusal(manifest("RoleBinding", EVIL), ESCALATION),
    "powerful_impersonation": reading() | {"impersonatedUser": {"username": EVIL, "groups": ["system:masters", EVIL]}},
    "token_issued": token(EVIL),
    "certificate_approved": approval(
        objectRef={"resource": "certificatesigningrequests", "subresource": "approval", "name": EVIL,
                   "apiGroup": "certificates.k8s.io"}
    ),
}  # fmt: skip


@pytest.fixture(params=HOSTILE)
def hostile(cluster: Cluster, request: pytest.FixtureRequest) -> Alert:
    """An alert of each kind in which every name is hostile, investigated."""
    if request.param == "role_aggregated":
        take_in(cluster, as_list([made(manifest(name=EVIL))]))
    event = HOSTILE[request.param] | {"userAgent": EVIL, "user": {"username": EVIL, "groups": [EVIL]}}
    take_in(cluster, as_list([event]))
    return gathered(Alert.objects.get(detection=request.param))


def test_the_page_of_every_kind_of_alert_shows_hostile_names_as_text(hostile: Alert, as_rex: Client) -> None:
    try:
        revocation.plan(hostile)
    except revocation.NothingToRevoke:
        assert not Revocation.objects.exists()
    watch.start(hostile, by=None)
    pages = [hostile.get_absolute_url(), *(reverse(f"alerts:{name}", args=[hostile.pk]) for name in ("revoke", "tell"))]
    if hostile.object and hostile.object.is_role:
        pages.append(reverse("alerts:role", args=[hostile.object.pk]))
    for page in [*pages, reverse("alerts:queue")]:
        answer = as_rex.get(page)
        text = answer.content.decode()
        assert answer.status_code == 200, page
        assert "<img" not in text, page
        assert "\u202e" not in text, page
    assert visible(hostile.title).replace("<", "&lt;").replace(">", "&gt;").partition("&lt;")[0] in text


def test_a_plan_for_a_binding_takes_that_binding_and_no_role(cluster: Cluster) -> None:
    alert = last(cluster, made(manifest(rules=PODS)), made(bound("b", "reader", user("eve")), 2))
    planned = revocation.plan(alert)
    assert [(target["kind"], target["name"]) for target in planned.plan] == [("ClusterRoleBinding", "b")]


def test_where_nothing_can_be_planned_the_step_says_what_to_do(cluster: Cluster, as_rex: Client) -> None:
    page = as_rex.get(last(cluster, token()).get_absolute_url()).content.decode()
    assert "A token cannot be recalled" in page
