"""Capabilities: for each a role that has it, one that only looks like it, and one that hides it."""

from typing import NamedTuple

import pytest

from alerts.rbac import CAPABILITIES, Request, allows, held
from tests.unit.rbac.writing import rules

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
CERTIFICATES = "certificates.k8s.io"


class Fixture(NamedTuple):
    positive: list[str]
    negative: list[str]
    evasion: list[str]


FIXTURES = {
    "everything": Fixture(
        ["* on * in *"], ["* on * in core, apps", "get on * in *"], ["list, * on secrets, * in apps, *"]
    ),
    "every-verb": Fixture(
        ["* on secrets"], ["get, list, watch, create, update, patch, delete on secrets"], ['* on clusterroles in "", *']
    ),
    "every-resource": Fixture(["get on * in *"], ["get on */* in *"], ["patch on pods, * in *"]),
    "list-secrets": Fixture(
        ["list on secrets"], ["list on secrets named a", "get on secrets"], ['watch on secrets named ""']
    ),
    "get-secrets": Fixture(
        ["get on secrets"], ["get on secrets in core.example.com", "GET on secrets"], ["get on * in *"]
    ),
    "write-secrets": Fixture(["create on secrets"], ["create on secrets named a"], ["patch on secrets, pods"]),
    "create-pods": Fixture(
        ["create on pods"], ["create on pods named a", "create on pods/log"], ['create on pods named a, ""']
    ),
    "write-workloads": Fixture(
        ["create on deployments in apps"], ["create on deployments in extensions"], ["patch on * in batch"]
    ),
    "change-pods": Fixture(
        ["patch on pods"], ["patch on pods/status", "create on pods"], ["update on * in core, apps"]
    ),
    "exec": Fixture(["create on pods/exec"], ["create on pods/*", "create on pods"], ["create on */exec"]),
    "debug-pods": Fixture(
        ["patch on pods/ephemeralcontainers"],
        ["create on pods/ephemeralcontainers", "patch on pods/*"],
        ["update on */ephemeralcontainers in *"],
    ),
    "proxy": Fixture(["get on services/proxy"], ["get on services", "get on services/*"], ["* on */portforward"]),
    "nodes-proxy": Fixture(["get on nodes/proxy"], ["get on nodes", "get on nodes/metrics"], ["delete on */proxy"]),
    "issue-tokens": Fixture(
        ["create on serviceaccounts/token"],
        ["get on serviceaccounts/token", "create on serviceaccounts"],
        ["create on */token"],
    ),
    "escalate": Fixture(
        [f"escalate, update on clusterroles in {RBAC}"],
        [f"escalate on clusterrolebindings in {RBAC}", f"create, update, patch on clusterroles in {RBAC}"],
        [f"* on roles in {RBAC}"],
    ),
    "bind": Fixture(
        [f"bind on clusterroles in {RBAC}", f"create on rolebindings in {RBAC}"],
        [f"bind on rolebindings, clusterrolebindings in {RBAC}"],
        [f"bind on * in {RBAC} named cluster-admin"],
    ),
    "write-bindings": Fixture(
        [f"create on clusterrolebindings in {RBAC}"],
        [f"delete on clusterrolebindings in {RBAC}"],
        [f"patch on * in {RBAC}"],
    ),
    "write-roles": Fixture([f"patch on clusterroles in {RBAC}"], ["patch on clusterroles"], ["update on roles in *"]),
    "impersonate": Fixture(
        ["impersonate on users, groups"],
        ["impersonate on secrets", "impersonate:user-info on users in authentication.k8s.io"],
        ["impersonate:user-info on users in authentication.k8s.io", "impersonate-on:user-info:list on secrets"],
    ),
    "approve-certificates": Fixture(
        [
            f"create on certificatesigningrequests in {CERTIFICATES}",
            f"update on certificatesigningrequests/approval in {CERTIFICATES}",
            f"approve on signers in {CERTIFICATES}",
        ],
        [f"create, approve on certificatesigningrequests, signers in {CERTIFICATES}"],
        [
            f"create on * in {CERTIFICATES}",
            f"patch on */approval in {CERTIFICATES}",
            f"approve on signers in {CERTIFICATES} named kubernetes.io/*",
        ],
    ),
    "sign-certificates": Fixture(
        [f"update on certificatesigningrequests/status in {CERTIFICATES}", f"sign on signers in {CERTIFICATES}"],
        [f"sign, update on signers, certificatesigningrequests in {CERTIFICATES}"],
        [f"patch on */status in {CERTIFICATES}", f"* on signers in {CERTIFICATES}"],
    ),
    "webhooks": Fixture(
        [f"create on mutatingwebhookconfigurations in {ADMISSION}"],
        [f"get, list, watch on mutatingwebhookconfigurations in {ADMISSION}"],
        [f"delete on * in {ADMISSION}"],
    ),
    "admission-policies": Fixture(
        [f"create on mutatingadmissionpolicies in {ADMISSION}"],
        [f"update on validatingadmissionpolicies/status in {ADMISSION}"],
        ["deletecollection on validatingadmissionpolicybindings in *"],
    ),
    "create-volumes": Fixture(
        ["create on persistentvolumes"], ["create on persistentvolumeclaims"], ["create on * in *"]
    ),
    "change-namespaces": Fixture(
        ["patch on namespaces"], ["create, delete on namespaces"], ["update on namespaces named web"]
    ),
    "resource-definitions": Fixture(
        ["update on customresourcedefinitions in apiextensions.k8s.io"],
        ["update on customresourcedefinitions/status in apiextensions.k8s.io"],
        ["create on * in apiextensions.k8s.io"],
    ),
    "api-services": Fixture(
        ["patch on apiservices in apiregistration.k8s.io"],
        ["patch on apiservices/status in apiregistration.k8s.io"],
        ["* on apiservices in *"],
    ),
    "change-nodes": Fixture(["patch on nodes/status"], ["patch on nodes/proxy"], ["update on */status"]),
    "status": Fixture(["patch on pods/status"], ["patch on deployments/status in apps"], ["update on */status in *"]),
    "destroy": Fixture(["delete on namespaces"], ["delete on events"], ["deletecollection on * in apps"]),
    "delete-events": Fixture(["delete on events"], ["create on events"], ["* on events in events.k8s.io"]),
    "networking": Fixture(
        ["update on endpointslices in discovery.k8s.io"],
        ["delete on services", "create on networkpolicies"],
        ["delete on * in networking.k8s.io"],
    ),
    "write-config": Fixture(
        ["update on configmaps"], ["get on configmaps", "create on configmaps named a"], ["patch on * named coredns"]
    ),
    "policy-engines": Fixture(
        ["delete on clusterpolicies in kyverno.io"],
        ["get, list on clusterpolicies in kyverno.io"],
        ["patch on k8sallowedrepos in constraints.gatekeeper.sh"],
    ),
    "change-service-accounts": Fixture(
        ["patch on serviceaccounts"],
        ["create on serviceaccounts", "patch on serviceaccounts/token"],
        ["update on * in core"],
    ),
    "deploy-through-operators": Fixture(
        ["create on kustomizations in kustomize.toolkit.fluxcd.io"],
        ["get, delete on applications in argoproj.io", "create on kustomizations in kustomize.example.com"],
        ["patch on * in argoproj.io"],
    ),
    "use-constraints": Fixture(
        ["use on securitycontextconstraints in security.openshift.io named privileged"],
        ["use on securitycontextconstraints in security.openshift.io named restricted-v2", "get on * in *"],
        ["use on * in *"],
    ),
    "openshift-identities": Fixture(
        ["create on oauthaccesstokens in oauth.openshift.io"],
        ["get, list on groups in user.openshift.io", "update on groups in core"],
        ["update on * in user.openshift.io"],
    ),
    "debug-urls": Fixture(["get at /debug/pprof/*"], ["get at /healthz, /metrics", "list at *"], ["* at /l*"]),
}
TOLD_BY_RULES = [capability.id for capability in CAPABILITIES if capability.ways or capability.paths]


def ids(phrases: list[str], scope: str = "") -> list[str]:
    return [one.id for one in held(rules(*phrases), scope)]


def test_every_capability_that_rules_tell_has_its_fixtures() -> None:
    assert set(FIXTURES) == set(TOLD_BY_RULES)


@pytest.mark.parametrize("key", TOLD_BY_RULES)
def test_who_has_it_is_found(key: str) -> None:
    assert key in ids(FIXTURES[key].positive)


@pytest.mark.parametrize("key", TOLD_BY_RULES)
def test_who_only_looks_like_it_is_not_accused(key: str) -> None:
    wide = [one for one in held(rules(*FIXTURES[key].negative)) if one.id == key and not one.names]
    assert wide == []


@pytest.mark.parametrize("key", TOLD_BY_RULES)
def test_who_hides_it_is_found_too(key: str) -> None:
    assert key in ids(FIXTURES[key].evasion)


@pytest.mark.parametrize("key", TOLD_BY_RULES)
@pytest.mark.parametrize("kind", ["positive", "evasion"])
def test_what_proves_it_is_permitted_by_the_rule_it_names(key: str, kind: str) -> None:
    given = rules(*getattr(FIXTURES[key], kind))
    (one,) = (one for one in held(given) if one.id == key)
    assert one.proofs
    for proof in one.proofs:
        assert allows([given[proof.index]], proof.request)
        assert proof.kubectl("eve").startswith("kubectl auth can-i ")


def test_there_are_45_in_order_each_explained() -> None:
    assert [capability.number for capability in CAPABILITIES] == list(range(1, 46))
    assert all(capability.title and capability.reason and capability.techniques for capability in CAPABILITIES)


def test_named_objects_are_told_from_all() -> None:
    (one,) = held(rules("get on secrets named b, a"))
    assert (one.names, one.title) == (("a", "b"), "Read secrets by name (only a, b)")
    assert one.proofs[0].request == Request("get", resource="secrets", name="b")


def test_a_powerful_name_is_as_bad_as_any() -> None:
    (one,) = held(rules("impersonate on groups named dev, system:masters"))
    assert one.powerful
    assert one.proofs[0].request.name == "system:masters"


def test_who_approves_certificates_that_others_ask_for_is_found_and_weighs_less() -> None:
    approval = f"update on certificatesigningrequests/approval in {CERTIFICATES}"
    signers = f"approve on signers in {CERTIFICATES} named"
    (clients,) = held(rules(approval, f"{signers} kubernetes.io/kube-apiserver-client"))
    (servers,) = held(rules(approval, f"{signers} kubernetes.io/kubelet-serving"))
    assert (clients.base, clients.powerful, servers.base, servers.powerful) == (50, True, 50, False)


def test_a_permission_without_its_companion_is_only_half() -> None:
    alone = held(rules(f"escalate on clusterroles in {RBAC}"))[0]
    whole = held(rules(f"escalate, patch on clusterroles in {RBAC}"))[0]
    assert (alone.complete, whole.complete) == (False, True)


def test_a_wildcard_weighs_as_much_as_the_worst_it_holds() -> None:
    weights = {phrase: held(rules(phrase))[0].base for phrase in ("* on configmaps", "* on secrets", "watch on * in *")}
    assert weights == {"* on configmaps": 80, "* on secrets": 85, "watch on * in *": 85}


def test_in_a_namespace_nothing_outside_it_counts() -> None:
    everything = ["* on * in *", "* at *"]
    outside = {"nodes-proxy", "create-volumes", "webhooks", "api-services", "approve-certificates", "debug-urls"}
    assert outside <= set(ids(everything))
    assert outside.isdisjoint(ids(everything, "web"))
    assert {"list-secrets", "create-pods", "change-namespaces"} <= set(ids(everything, "web"))


def test_binding_a_cluster_role_works_in_a_namespace_and_escalating_one_does_not() -> None:
    assert ids([f"bind on clusterroles in {RBAC}"], "web") == ["bind"]
    assert ids([f"escalate on clusterroles in {RBAC}"], "web") == []
    assert ids([f"escalate on roles in {RBAC}"], "web") == ["escalate"]


def test_config_maps_weigh_most_where_the_cluster_keeps_its_own() -> None:
    weights = {scope: held(rules("update on configmaps"), scope)[0].base for scope in ("", "kube-system", "web")}
    assert weights == {"": 80, "kube-system": 80, "web": 35}


def test_constrained_impersonation_weighs_what_may_be_done_with_it() -> None:
    identity = "impersonate:serviceaccount on serviceaccounts in authentication.k8s.io"
    weights = {
        doing: held(rules(identity, f"impersonate-on:serviceaccount:{doing}"))[0].base
        for doing in ("list on secrets", "get on pods")
    }
    assert weights == {"list on secrets": 85, "get on pods": 30}
    assert held(rules(identity, "impersonate-on:user-info:list on secrets")) == ()


def test_nobody_can_be_accused_by_the_made_up_words_of_a_probe() -> None:
    assert held(rules("anyverb on anythings in anything.example.com")) == ()
    assert held(rules("get on secrets named anyname"))[0].names == ("anyname",)
