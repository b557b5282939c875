from typing import Any

import pytest

from tests.unit.audit.events import creation
from tests.unit.detections.examples import findings, found

NODE = {"username": "system:node:worker-1", "groups": ["system:nodes", "system:authenticated"]}
MASTER = {"username": "admin", "groups": ["system:masters"]}
TITLE = "Token issued for service account web/bot"


def token(account: str = "bot", namespace: str = "web", **changes: Any) -> dict[str, Any]:
    return creation(
        **{
            "level": "Metadata",
            "requestURI": f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
            "objectRef": {
                "resource": "serviceaccounts", "subresource": "token", "namespace": namespace, "name": account,
                "apiVersion": "v1",
            },
            "requestObject": None,
            "responseObject": None,
        }
        | changes
    )  # fmt: skip


def test_a_token_for_anothers_account_is_found_at_level_metadata() -> None:
    assert found(token()) == ("token_issued", TITLE)


def test_a_kubelets_token_for_a_pod_is_nothing_and_a_false_kubelets_is_found() -> None:
    assert not findings(token(user=NODE))
    assert found(token(user=NODE | {"groups": ["system:authenticated"]}))[1] == TITLE
    assert TITLE in [each.title for each in findings(token(user={"username": "eve"}, impersonatedUser=NODE))]


def test_the_controller_manager_may_have_tokens_of_its_own_controllers_only() -> None:
    manager = {"username": "system:kube-controller-manager"}
    assert not findings(token("node-controller", "kube-system", user=manager))
    assert findings(token("node-controller", "web", user=manager))
    assert findings(token("admin-bot", "kube-system", user=manager))


def test_it_may_run_as_a_master_on_the_api_servers_own_host() -> None:
    here = {"user": MASTER, "sourceIPs": ["127.0.0.1"]}
    assert not findings(token("namespace-controller", "kube-system", **here))
    assert findings(token("metrics-scraper", "kube-system", **here))
    assert findings(token("namespace-controller", "kube-system", user=MASTER, sourceIPs=["127.0.0.1", "198.51.100.1"]))


def test_an_accounts_own_token_is_nothing() -> None:
    assert not findings(token(user={"username": "system:serviceaccount:web:bot"}))
    assert findings(token(user={"username": "system:serviceaccount:db:bot"}))


def test_a_token_is_issued_though_the_request_calls_itself_a_rehearsal() -> None:
    assert found(token(requestURI="/x?dryRun=All")) == ("token_issued", TITLE)


def test_an_attempt_is_found_and_a_failure_or_a_rehearsed_secret_is_nothing() -> None:
    title = "Attempt to get a token of service account web/bot"
    assert found(token(responseStatus={"code": 403}))[1] == title
    assert not findings(token(responseStatus={"code": 404}))
    assert not findings(secret(requestURI="/x?dryRun=All"))
    assert not findings(token(stage="RequestReceived"))


def test_tokens_of_one_actor_account_and_day_are_one() -> None:
    first, again, other = token(), token(auditID="other"), token("other")
    causes = [findings(each)[0].fingerprint for each in (first, again, other)]
    assert causes[0] == causes[1] != causes[2]


def secret(kind: str = "kubernetes.io/service-account-token", **changes: Any) -> dict[str, Any]:
    body = {"kind": "Secret", "metadata": {"annotations": {"kubernetes.io/service-account.name": "bot"}}, "type": kind}
    ref = {"resource": "secrets", "namespace": "web", "name": "s", "apiVersion": "v1"}
    return creation(
        **{"requestURI": "/api/v1/namespaces/web/secrets", "objectRef": ref, "requestObject": body} | changes
    )


def test_a_secret_that_will_hold_a_token_is_found() -> None:
    assert found(secret()) == ("token_issued", TITLE)
    assert found(secret(verb="patch")) == ("token_issued", TITLE)


@pytest.mark.parametrize(
    "event",
    [
        secret("Opaque"),
        secret(requestObject={"type": "kubernetes.io/service-account-token"}),
        secret(requestObject=[{"op": "add"}]),
        secret(verb="patch", responseStatus={"code": 200}),
        secret(user={"username": "system:kube-controller-manager"}),
    ],
    ids=["another", "of nobody", "a patch", "changed", "an old cluster's controller"],
)
def test_other_secrets_are_nothing(event: dict[str, Any]) -> None:
    assert not findings(event)
