"""Who may do what: our answers against those of a real API server that holds roles and bindings made at random."""

import random
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from alerts.rbac import Access, Request, RoleRef, Subject, compare, default_roles, known
from alerts.rbac.actions import VIRTUAL
from tests.cluster.conftest import NAMESPACE, APIServer
from tests.unit.rbac import generate

pytestmark = pytest.mark.control_plane

API = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACES = (NAMESPACE, "default")
GROUPS = (
    "chance:devs",
    "chance:ops",
    "system:authenticated",
    "system:serviceaccounts",
    f"system:serviceaccounts:{NAMESPACE}",
)
PEOPLE = (
    Subject("User", "chance:ana"),
    Subject("User", "chance:ben"),
    Subject("ServiceAccount", "bot", NAMESPACE),
    Subject("ServiceAccount", "bot", "default"),
    Subject("User", "system:anonymous"),
)
# What OpenShift's build of the same version, from which our table is, ships besides.
ROLES_BESIDES = {"system:controller:service-ca-cert-publisher", "system:openshift:public-info-viewer"}
RULES_BESIDES = {
    "system:controller:endpointslice-controller": ["create on endpointslices/restricted in discovery.k8s.io"],
    "system:controller:endpointslicemirroring-controller": ["create on endpointslices/restricted in discovery.k8s.io"],
}
ROLES, BINDINGS, QUESTIONS = 40, 50, 1_500


@pytest.fixture(scope="module")
def access(real: APIServer) -> Iterator[Access]:
    """Fill the cluster, and return what it then holds as we read it. What was made is deleted afterwards."""
    made = list(_fill(real, generate.source(36)))
    _settle(real)
    yield _read(real)
    for path in made:
        real.ask("DELETE", path)


def _read(real: APIServer) -> Access:
    kinds = {
        "clusterroles": "ClusterRole",
        "roles": "Role",
        "clusterrolebindings": "ClusterRoleBinding",
        "rolebindings": "RoleBinding",
    }
    items = [
        item | {"kind": kind}
        for plural, kind in kinds.items()
        for item in real.ask("GET", f"{API}/{plural}")[1]["items"]
    ]
    return Access.of_manifests(items)


def _fill(real: APIServer, chance: random.Random) -> Iterator[str]:
    roles: list[RoleRef] = []
    for number in range(ROLES):
        namespace = chance.choice(NAMESPACES) if number % 3 == 0 else ""
        metadata = {"name": f"chance:{number}", "labels": _labels(chance)}
        rules = [rule for rule in generate.rules(chance) if "nonResourceURLs" not in rule or not namespace]
        body: dict[str, Any] = {"metadata": metadata, "rules": rules}
        if not namespace and chance.random() < 0.2:
            body["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": _labels(chance) or {"chance/a": "1"}}]}
        within = f"{API}/namespaces/{namespace}/roles" if namespace else f"{API}/clusterroles"
        code, _ = real.ask("POST", within, body)
        if code == 201:
            roles.append(RoleRef("Role" if namespace else "ClusterRole", f"chance:{number}", namespace))
            yield f"{within}/chance:{number}"
    for number in range(BINDINGS):
        ref = chance.choice(roles)
        namespace = ref.namespace or chance.choice(("", *NAMESPACES))
        within = f"{API}/namespaces/{namespace}/rolebindings" if namespace else f"{API}/clusterrolebindings"
        body = {
            "metadata": {"name": f"chance:{number}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": ref.kind, "name": ref.name},
            "subjects": [_subject(chance, namespace) for _ in range(chance.randint(0, 3))],
        }
        code, answer = real.ask("POST", within, body)
        assert code == 201, answer
        yield f"{within}/chance:{number}"


def _labels(chance: random.Random) -> dict[str, str]:
    return {f"chance/{key}": chance.choice("12") for key in "ab" if chance.random() < 0.4}


def _subject(chance: random.Random, namespace: str) -> dict[str, str]:
    if chance.random() < 0.4:
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": chance.choice(GROUPS)}
    person = chance.choice(PEOPLE)
    if person.kind == "User" or chance.random() < 0.2:
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person.username}
    stated = {} if person.namespace == namespace and chance.random() < 0.5 else {"namespace": person.namespace}
    return {"kind": "ServiceAccount", "name": person.name} | stated


def _settle(real: APIServer) -> None:
    """Wait until the controller has put together every aggregated role, as the closure we work out says it will."""
    deadline = time.monotonic() + 20
    while True:
        access = _read(real)
        aggregated = [role for role in access.roles.values() if role.selectors is not None]
        if all(compare(role.rules, access.rules(role.ref)).verdict == "equivalent" for role in aggregated):
            break
        assert time.monotonic() < deadline, "the aggregated roles did not come to hold what we work out"
        time.sleep(0.2)
    time.sleep(0.5)  # the authorizer's own watch is a little behind


def _review(real: APIServer, person: Subject, groups: list[str], request: Request) -> dict[str, Any]:
    spec: dict[str, Any] = {"user": person.username, "groups": [*person.implicit_groups, *groups]}
    if request.path is not None:
        spec["nonResourceAttributes"] = {"verb": request.verb, "path": request.path}
    else:
        fields = ("verb", "group", "resource", "subresource", "name", "namespace")
        spec["resourceAttributes"] = {field: getattr(request, field) for field in fields}
    code, answer = real.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    assert code == 201, answer
    status: dict[str, Any] = answer["status"]
    return status


def test_we_say_who_may_do_what_just_as_the_api_server_does(real: APIServer, access: Access) -> None:
    chance = generate.source(63)
    wrong, allowed = [], 0
    for _ in range(QUESTIONS):
        person, groups = chance.choice(PEOPLE), chance.choice([[], ["chance:devs"], ["chance:devs", "chance:ops"]])
        request = _question(chance, access)
        status = _review(real, person, groups, request)
        ours = access.effective(person, request.namespace, groups).allowing(request)
        allowed += status["allowed"]
        if status["allowed"] != (ours is not None) or not _names_its_reason(access, request, status):
            wrong.append((person, groups, request, status, ours))
    assert wrong == []
    assert QUESTIONS / 10 < allowed < QUESTIONS * 9 / 10, "the questions must not all be alike"


def _question(chance: random.Random, access: Access) -> Request:
    binding = chance.choice([binding for binding in access.bindings if binding.name.startswith("chance:")])
    request = generate.request_near(chance, access.rules(binding.role).manifest())
    if request.path is not None:
        return request
    namespace = chance.choice((binding.namespace, binding.namespace, "", *NAMESPACES))
    return Request(request.verb, request.group, request.resource, request.subresource, request.name, namespace)


def _names_its_reason(access: Access, request: Request, status: dict[str, Any]) -> bool:
    """Tell whether the binding the API server names as its reason is one of those by which we allow the request."""
    found = re.match(r'RBAC: allowed by (\w+) "([^"]+)" of ', status.get("reason", ""))
    if not status["allowed"] or found is None:
        return not status["allowed"]
    kind, name = found.group(1), found.group(2).split("/")[0]
    return any(
        (answer.source.binding.kind, answer.source.binding.name) == (kind, name) for answer in access.who_can(request)
    )


def test_everybody_we_name_may_indeed(real: APIServer, access: Access) -> None:
    chance = generate.source(66)
    asked = 0
    while asked < 100:
        request = _question(chance, access)
        for answer in access.who_can(request)[:5]:
            subject = answer.subject
            groups = [subject.name] if subject.kind == "Group" else []
            person = Subject("User", "chance:stranger") if groups else subject
            assert _review(real, person, groups, request)["allowed"], (answer, request)
            asked += 1


def test_our_table_of_actions_is_what_the_api_server_lists(real: APIServer) -> None:
    paths = [f"/api/{version}" for version in real.ask("GET", "/api")[1]["versions"]]
    paths += [
        f"/apis/{version['groupVersion']}"
        for group in real.ask("GET", "/apis")[1]["groups"]
        for version in group["versions"]
    ]
    listed = set()
    for path in paths:
        answer = real.ask("GET", path)[1]
        group = answer["groupVersion"].rpartition("/")[0]
        for row in answer["resources"]:
            resource, _, subresource = row["name"].partition("/")
            listed |= {(group, resource, subresource, verb, row["namespaced"]) for verb in row["verbs"]}
    assert listed == {tuple(action) for action in known().actions} - {tuple(action) for action in VIRTUAL}


def test_our_default_roles_are_those_the_api_server_ships(real: APIServer) -> None:
    live = {
        role.ref.name: role for role in _read(real).roles.values() if role.default and role.ref.kind == "ClusterRole"
    }
    assert default_roles().keys() - live.keys() == ROLES_BESIDES
    assert live.keys() <= default_roles().keys()
    for name, role in live.items():
        ours = default_roles()[name]
        assert (ours.labels, ours.selectors) == (role.labels, role.selectors)
        comparison = compare(role.rules, ours.rules)
        assert comparison.losses == ()
        assert [str(gain) for gain in comparison.gains] == RULES_BESIDES.get(name, []), name
