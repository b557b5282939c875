"""How bad a role is, with the factors; calibrated on the roles Kubernetes ships."""

import json
from pathlib import Path
from typing import Any

import pytest

from alerts.rbac import Access, Assessment, Circumstances, Severity, Subject, assess, conditions, default_roles
from tests.unit.rbac.clusters import aggregated, binding, cluster, ref, role
from tests.unit.rbac.writing import rules

RECORDINGS = Path(__file__).parents[3] / "alerts" / "cluster" / "practice" / "recordings"
# As Kubernetes binds them at its first start; the rest of the defaults must not be critical.
CALIBRATION = {
    "cluster-admin": ("critical", "everything"),
    "system:controller:clusterrole-aggregation-controller": ("critical", "escalate"),
    "system:kube-controller-manager": ("critical", "every-resource"),
    "system:controller:generic-garbage-collector": ("critical", "every-resource"),
    "system:controller:namespace-controller": ("critical", "every-resource"),
    "system:controller:resourcequota-controller": ("critical", "every-resource"),
    "system:controller:certificate-controller": ("critical", "sign-certificates"),
    "system:controller:daemon-set-controller": ("high", "create-pods"),
    "system:controller:job-controller": ("high", "create-pods"),
    "system:controller:deployment-controller": ("high", "write-workloads"),
    "system:controller:root-ca-cert-publisher": ("high", "write-config"),
    "system:controller:node-controller": ("medium", "destroy"),
    "system:controller:endpoint-controller": ("medium", "networking"),
    "system:controller:horizontal-pod-autoscaler": ("low", None),
    "system:kube-scheduler": ("medium", "destroy"),
    "system:kube-dns": ("low", None),
    "system:node-proxier": ("low", None),
    "system:discovery": ("low", None),
    "system:basic-user": ("low", None),
    "system:public-info-viewer": ("low", None),
}
# As if bound for the whole cluster to somebody who had nothing.
CALIBRATION_UNBOUND = {
    "admin": ("critical", "list-secrets"),
    "edit": ("critical", "list-secrets"),
    "view": ("low", None),
    "system:node": ("critical", "list-secrets"),
    "system:kubelet-api-admin": ("critical", "nodes-proxy"),
    "system:persistent-volume-provisioner": ("medium", "create-volumes"),
    "system:auth-delegator": ("low", None),
    "system:monitoring": ("low", None),
}


def recorded() -> Access:
    lists = [
        ("ClusterRole", "clusterroles"),
        ("Role", "roles"),
        ("ClusterRoleBinding", "clusterrolebindings"),
        ("RoleBinding", "rolebindings"),
    ]
    return Access.of_manifests(
        item | {"kind": kind}
        for kind, file in lists
        for item in json.loads((RECORDINGS / f"{file}.json").read_text())["items"]
    )


def told(assessment: Assessment) -> tuple[str, str | None]:
    return assessment.severity.value, assessment.worst.id if assessment.worst else None


@pytest.mark.parametrize(("name", "expected"), CALIBRATION.items())
def test_a_default_role_as_kubernetes_binds_it_comes_out_sensibly(name: str, expected: tuple[str, str | None]) -> None:
    access = recorded()
    assert told(assess(access.rules(ref(name)), ref=ref(name), access=access)) == expected


@pytest.mark.parametrize(("name", "expected"), CALIBRATION_UNBOUND.items())
def test_a_default_role_comes_out_sensibly_if_it_were_bound(name: str, expected: tuple[str, str | None]) -> None:
    assert told(assess(default_roles()[name].rules)) == expected


def test_no_other_default_role_is_critical() -> None:
    access = recorded()
    critical = {
        one.ref.name
        for one in access.roles.values()
        if one.default and assess(access.rules(one.ref), ref=one.ref, access=access).severity is Severity.CRITICAL
    }
    # The recorded cluster binds edit to somebody.
    assert critical == {name for name, (severity, _) in CALIBRATION.items() if severity == "critical"} | {
        "edit",
        "system:aggregate-to-edit",
    }


@pytest.mark.parametrize(
    ("score", "severity"),
    [(100, "critical"), (85, "critical"), (84, "high"), (60, "high"), (59, "medium"), (29, "low"), (0, "low")],
)
def test_a_score_has_a_word(score: int, severity: str) -> None:
    assert Severity.of(score) == severity


def scored(*manifests: dict[str, Any], **more: Any) -> Assessment:
    access = cluster(*manifests)
    return assess(access.rules(ref("r")), ref=ref("r"), access=access, **more)


def effects(assessment: Assessment) -> list[str]:
    return [factor.effect for factor in assessment.factors]


LIST_SECRETS = role("r", "list on secrets")
NODES_PROXY = role("r", "create on nodes/proxy")


@pytest.mark.parametrize(
    ("bound", "score", "shown"),
    [
        ([binding("b", "r", "user ana")], 85, ["85", "× 1"]),
        ([binding("b", "r", "user ana", namespace="web")], 51, ["85", "× 0.6"]),
        ([binding("b", "r", "user ana", namespace="kube-system")], 76, ["85", "× 0.9"]),
        ([], 30, ["85", "× 0.35"]),
        ([binding("b", "r", "group system:authenticated")], 100, ["85", "× 1", "× 1.5"]),
        ([binding("b", "r", "user system:anonymous")], 100, ["85", "× 1", "× 2", "at least 80"]),
    ],
)
def test_it_weighs_where_and_for_whom(bound: list[dict[str, Any]], score: int, shown: list[str]) -> None:
    assessment = scored(LIST_SECRETS, *bound)
    assert (assessment.score, effects(assessment)) == (score, shown)


def test_named_objects_weigh_half() -> None:
    assessment = scored(role("r", "get on secrets named a"), binding("b", "r", "user ana"))
    assert (assessment.score, effects(assessment)) == (38, ["75", "× 1", "× 0.5"])


def test_what_everybody_could_do_already_weighs_little() -> None:
    assessment = scored(
        LIST_SECRETS, role("s", "* on * in *"), binding("b", "r", "user ana"), binding("c", "s", "user ana")
    )
    assert (assessment.score, effects(assessment)) == (26, ["85", "× 1", "× 0.3"])


def test_the_holder_it_is_new_to_decides() -> None:
    assessment = scored(
        LIST_SECRETS, role("s", "* on * in *"), binding("b", "r", "user ana", "user eve"), binding("c", "s", "user ana")
    )
    assert assessment.score == 85
    assert assessment.holder is not None
    assert assessment.holder.subject == Subject("User", "eve")


def test_no_crowd_of_holders_hides_for_whom_it_is_worst() -> None:
    crowd = [f"user {number}" for number in range(300)]
    everybody = binding("z", "r", "group system:authenticated")
    anybody_inside = [binding(f"p{n}", "r", "user system:anonymous", namespace=f"n{n}") for n in range(300)]
    alone = scored(NODES_PROXY, everybody).score
    assert scored(NODES_PROXY, binding("a", "r", *crowd), everybody, *anybody_inside).score == alone == 100
    # What the crowd gains inside a namespace weighs less than what one holder gains who had the worst of it.
    known = [role("s", "list on secrets"), binding("y", "s", "user eve"), binding("x", "r", "user eve")]
    both = role("r", "list on secrets", "create on nodes/proxy", "get on secrets")
    inside = binding("a", "r", *crowd, namespace="web")
    assert scored(both, *known, inside).score == scored(both, *known).score == 90


def test_an_unbound_role_that_feeds_another_is_nearer_to_harm() -> None:
    feeding = role("r", "list on secrets", labels={"feed": "true"})
    assert scored(feeding, aggregated("view", "feed")).score == 42
    assert scored(feeding, aggregated("view", "feed"), binding("b", "view", "group devs")).score == 85


def test_where_not_all_bindings_are_known_somebody_may_hold_what_a_role_feeds() -> None:
    access = cluster(role("r", "list on secrets", labels={"feed": "true"}), aggregated("view", "feed"))
    found = assess(access.rules(ref("r")), ref=ref("r"), access=access, all_bindings_known=False)
    assert found.score == 85


def test_half_an_attack_weighs_less() -> None:
    assert (
        scored(role("r", "bind on clusterroles in rbac.authorization.k8s.io"), binding("b", "r", "user ana")).score
        == 66
    )


def test_many_small_things_are_not_one_big_one() -> None:
    many = role(
        "r", "delete on events", "patch on services/status", "create on pods/portforward", "update on serviceaccounts"
    )
    assert scored(many, binding("b", "r", "user ana")).score == 45


def test_more_access_never_scores_less_in_a_wider_scope() -> None:
    narrow = assess(rules("update on configmaps"), scope="kube-system").score
    assert (
        assess(rules("update on configmaps")).score >= narrow > assess(rules("update on configmaps"), scope="web").score
    )


def test_circumstances_add_points_each_with_its_reason() -> None:
    circumstances = Circumstances(self_grant=True, first_rbac_write=True, exercised=True)
    assessment = scored(role("r", "get on secrets"), binding("b", "r", "user ana"), circumstances=circumstances)
    assert (assessment.score, effects(assessment)) == (100, ["75", "× 1", "+ 10", "+ 10", "+ 5"])
    assert "its maker is among those who hold it" in [factor.label for factor in assessment.factors]


def test_what_the_object_shows_adds_points() -> None:
    odd = role("r", "delete on events")
    odd["metadata"] |= {
        "name": "system:r",
        "finalizers": ["x"],
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"},
    }
    access = cluster(odd, binding("b", "system:r", "user ana"))
    assessment = assess(access.rules(ref("system:r")), ref=ref("system:r"), access=access)
    assert (assessment.score, effects(assessment)) == (55, ["30", "× 1", "+ 10", "+ 5", "+ 10"])


def test_a_copy_of_a_harmless_default_weighs_less_and_one_of_cluster_admin_does_not() -> None:
    copies = {
        name: assess(default_roles()[name].rules, ref=ref("copy"), access=cluster())
        for name in ("system:controller:node-controller", "cluster-admin")
    }
    assert "× 0.7" in effects(copies["system:controller:node-controller"])
    assert "× 0.7" not in effects(copies["cluster-admin"])


def test_a_role_that_permits_nothing_scores_nothing() -> None:
    assert assess(None).score == 0
    assert scored(role("r")).score == 0


def test_the_score_stays_within_its_bounds() -> None:
    everything = Circumstances(*[True] * 6)
    assert (
        scored(
            role("r", "* on * in *"), binding("b", "r", "group system:unauthenticated"), circumstances=everything
        ).score
        == 100
    )


def found(*manifests: dict[str, Any], name: str = "r") -> dict[str, str]:
    return {one.id: one.note for one in conditions(cluster(*manifests), ref(name))}


def test_open_doors_are_conditions_of_their_own() -> None:
    bound = binding("b", "r", "user system:anonymous", "group system:serviceaccounts", "group system:masters")
    assert found(role("r", "get on pods"), bound) == {
        "public": "user system:anonymous through ClusterRoleBinding b",
        "everyone": "group system:serviceaccounts through ClusterRoleBinding b",
        "masters": "group system:masters through ClusterRoleBinding b",
    }
    assert found(role("r", "get on pods"), binding("b", "r", "group devs", "account system:anonymous")) == {}


def test_a_user_named_like_a_public_group_is_nobody_public() -> None:
    assert found(role("r", "get on pods"), binding("b", "r", "group system:unauthenticated")).keys() == {"public"}
    assert not Subject("ServiceAccount", "system:anonymous", "web").public


def test_the_usual_prizes_are_told() -> None:
    assert found(
        role("cluster-admin", "* on * in *"), binding("b", "cluster-admin", "user eve"), name="cluster-admin"
    ) == {"bound-default": "ClusterRoleBinding b"} | found(role("cluster-admin", "* on * in *"), name="cluster-admin")


def test_a_default_role_with_extra_rules_is_told_and_scores_at_least_70() -> None:
    shipped = default_roles()["system:basic-user"].rules.manifest()
    tampered = role("system:basic-user") | {"rules": [*shipped, *rules("get on pods")]}
    assert found(tampered, name="system:basic-user") == {"default-changed": "also permits get on pods"}
    access = cluster(tampered)
    name = ref("system:basic-user")
    assert assess(access.rules(name), ref=name, access=access).score == 70
    untouched = role("system:basic-user") | {"rules": shipped}
    assert found(untouched, name="system:basic-user") == {}


def test_a_binding_that_waits_is_told() -> None:
    waiting = binding("b", "r", "user eve")
    assert found(waiting) == {"dangling": "ClusterRoleBinding b refers to it, and it does not exist"}
    assert found(aggregated("r", "feed"), waiting) == {
        "dangling": "ClusterRoleBinding b refers to it, and it is still empty"
    }
    assert scored(waiting).score == 40
    assert found(role("r", "get on pods"), waiting) == {}


CERTIFICATES = "certificates.k8s.io"


@pytest.mark.parametrize("second", ["ask", "approve"])
def test_half_of_an_attack_weighs_as_all_of_it_for_who_holds_the_other_half(second: str) -> None:
    access = cluster(
        role("ask", f"create on certificatesigningrequests in {CERTIFICATES}"),
        role(
            "approve",
            f"update on certificatesigningrequests/approval in {CERTIFICATES}",
            f"approve on signers in {CERTIFICATES}",
        ),
        binding("b1", "ask", "user eve"),
        binding("b2", "approve", "user eve"),
    )
    found = assess(access.rules(ref(second)), ref=ref(second), access=access)
    assert found.severity is Severity.CRITICAL
    assert found.worst is not None
    assert found.worst.id == "approve-certificates"
    assert "together with what the holder has by other roles" in {factor.label for factor in found.factors}
    assert [one.id for one in found.capabilities] == ["approve-certificates"]
    # The proofs name rules of this role only, by its own numbers.
    assert all(proof.rule in access.rules(ref(second)).rules for proof in found.worst.proofs)


def test_what_an_attack_lacked_is_new_with_it() -> None:
    api = "rbac.authorization.k8s.io"
    access = cluster(
        role("escalates", f"escalate on clusterroles in {api}"),
        role("writes", f"update on clusterroles in {api}"),
        binding("b1", "escalates", "user eve"),
        binding("b2", "writes", "user eve"),
    )
    found = assess(access.rules(ref("writes")), ref=ref("writes"), access=access)
    assert found.severity is Severity.CRITICAL
    (one,) = found.net_new
    assert "escalate" in {each.id for each in one.new}


def test_an_attack_that_another_role_gives_whole_is_not_counted_for_a_part_of_it() -> None:
    access = cluster(
        role("ask", f"create on certificatesigningrequests in {CERTIFICATES}"),
        role("all", "* on * in *"),
        binding("b1", "ask", "user eve"),
        binding("b2", "all", "user eve"),
    )
    assert assess(access.rules(ref("ask")), ref=ref("ask"), access=access).severity is Severity.LOW


@pytest.mark.parametrize(
    ("written", "severity"), [("own", "critical"), ("system:basic-user", "critical"), ("other", "medium")]
)
def test_to_escalate_one_role_is_to_escalate_all_for_who_holds_that_one(written: str, severity: str) -> None:
    rule = {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"],
        "resourceNames": [written],
        "verbs": ["escalate", "update"],
    }
    access = cluster(role("own", rules=[rule]), binding("b", "own", "user eve"))
    assert assess([rule], ref=ref("own"), access=access).severity == severity
