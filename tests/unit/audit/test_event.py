from datetime import UTC, datetime

import pytest

from alerts.audit.decode import decode
from tests.unit.audit.events import as_bytes, creation, decoded, event_list, metadata_only

DELETION = creation(
    verb="delete",
    requestURI="/apis/rbac.authorization.k8s.io/v1/clusterroles/reader",
    responseStatus={"metadata": {}, "code": 200},
    requestObject=None,
    responseObject={"kind": "Status", "status": "Success", "details": {"name": "reader", "uid": "u"}},
)


def test_an_event_says_who_did_what_to_which_object() -> None:
    event = decoded(creation())
    assert (event.actor, event.verb, event.group, event.resource, event.name) == (
        "mallory@example.com",
        "create",
        "rbac.authorization.k8s.io",
        "clusterroles",
        "reader",
    )
    assert event.at == datetime(2026, 11, 23, 18, 0, 1, tzinfo=UTC)
    assert event.user.groups == ("contractors", "system:authenticated")
    assert event.response["rules"] == event.request["rules"]
    assert event.writes_rbac
    assert not event.incomplete


def test_what_an_event_lacks_is_unknown() -> None:
    bare = creation(sourceIPs=None, userAgent=None, objectRef=None, responseStatus=None, annotations=None)
    event = decoded(metadata_only(bare) | {"user": {}})
    assert event.source_ips is None
    assert event.user_agent is None
    assert event.code is None
    assert event.succeeded is None
    assert event.user.groups is None
    assert event.request is None
    assert event.allowed_by is None


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/healthz?verbose=%2F", "/healthz"),
        ("/heal%74hz", "/healthz"),
        ("/apis%2frbac%2Eauthorization.k8s.io%2Fv1", "/apis/rbac.authorization.k8s.io/v1"),
        ("/a%3Fb?c", "/a?b"),
        ("/a%252Fb", "/a%2Fb"),
        ("//a/../b", "//a/../b"),
        ("/%ff", "/\ufffd"),
        (None, ""),
    ],
)
def test_a_path_is_read_as_the_api_server_reads_it(address: str | None, path: str) -> None:
    assert decoded(creation(requestURI=address)).path == path


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", False),
        ("?fieldManager=kubectl", False),
        ("?dryRun=All", True),
        ("?fieldManager=x&dryRun=All", True),
        ("?d%72yRun=%41ll", True),
        # Go drops a pair with a semicolon, so this one is carried out.
        ("?dryRun=All;x", False),
        ("?dryRun=", False),
        (f"?dryRun=All{'&a' * 9_999}", True),
        # Go reads none of more than ten thousand parameters, if it is new enough.
        (f"?dryRun=All{'&a' * 10_000}", None),
    ],
)
def test_a_dry_run_is_what_kubernetes_takes_for_one(query: str, *, expected: bool | None) -> None:
    address = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    assert decoded(creation(requestURI=address + query)).dry_run is expected


@pytest.mark.parametrize(
    ("verb", "resource", "subresource"),
    [
        ("get", "secrets", ""),
        ("list", "secrets", ""),
        ("create", "serviceaccounts", "token"),
        ("create", "pods", "exec"),
        ("delete", "services", "proxy"),
    ],
)
def test_what_api_servers_carry_out_whatever_its_address_says_is_no_dry_run(
    verb: str, resource: str, subresource: str
) -> None:
    about = {"resource": resource, "subresource": subresource, "name": "x"}
    assert decoded(creation(verb=verb, objectRef=about, requestURI="/x?dryRun=All")).dry_run is False


@pytest.mark.parametrize(
    ("verb", "code", "decision", "expected"),
    [
        ("deletecollection", 409, "allow", None),
        ("deletecollection", 403, "allow", None),
        ("deletecollection", 403, "forbid", False),
        ("deletecollection", 429, "allow", False),
        ("deletecollection", 401, "", False),
        ("delete", 409, "allow", False),
    ],
)
def test_what_a_collection_lost_before_its_deletion_failed_nobody_knows(
    verb: str, code: int, decision: str, *, expected: bool | None
) -> None:
    said = {"authorization.k8s.io/decision": decision}
    assert decoded(creation(verb=verb, responseStatus={"code": code}, annotations=said)).succeeded is expected


def test_a_deletion_says_in_its_body_that_it_is_a_dry_run() -> None:
    options = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/__internal"}
    assert decoded(DELETION | {"requestObject": options | {"dryRun": ["All"]}}).dry_run is True
    assert decoded(DELETION | {"requestObject": options}).dry_run is False
    assert decoded(DELETION).dry_run is False


@pytest.mark.parametrize("verb", ["delete", "deletecollection"])
def test_what_the_address_of_a_deletion_says_counts_only_where_no_body_was_sent(verb: str) -> None:
    asked = DELETION | {"verb": verb, "requestURI": f"{DELETION['requestURI']}?dryRun=All"}
    options = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/__internal"}
    assert decoded(asked | {"requestObject": options}).dry_run is False
    assert decoded(asked).dry_run is True
    assert decoded(asked | {"level": "Request", "responseObject": None}).dry_run is True
    assert decoded(metadata_only(asked)).dry_run is None
    assert decoded(asked | {"annotations": {"audit.k8s.io/truncated": "true"}}).dry_run is None
    assert decoded(asked | {"requestObject": "no object"}).dry_run is None


def test_at_level_metadata_nobody_knows_whether_a_deletion_was_a_dry_run() -> None:
    assert decoded(metadata_only(DELETION)).dry_run is None


@pytest.mark.parametrize(
    ("code", "expected"), [(200, True), (201, True), (403, False), (409, False), (500, None), (503, None), (504, None)]
)
def test_what_an_api_server_says_that_it_failed_may_have_been_carried_out(code: int, *, expected: bool | None) -> None:
    assert decoded(creation(responseStatus={"code": code})).succeeded is expected
    assert decoded(creation(responseStatus={"code": code}, stage="Panic")).succeeded is None


def test_a_generated_name_is_in_the_answer() -> None:
    reference = {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}
    assert decoded(creation("reader-x7k2p", objectRef=reference)).name == "reader-x7k2p"


def test_the_name_in_a_refusal_is_not_taken_for_the_role_s() -> None:
    refusal = creation(
        objectRef={"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io"},
        responseStatus={"code": 403},
        responseObject={"kind": "Status", "metadata": {"name": "somebody else's"}},
    )
    assert decoded(refusal).name == ""


def test_an_event_has_the_same_hash_from_a_webhook_and_from_a_log() -> None:
    logged = creation()
    posted = {key: value for key, value in logged.items() if key not in {"kind", "apiVersion"}}
    (from_webhook,) = decode(event_list(posted)).events
    assert from_webhook.sha256 == decoded(logged).sha256
    assert from_webhook.sha256 != decoded(creation("writer")).sha256


def test_an_event_cannot_call_itself_whole_or_another() -> None:
    event = decoded(creation(raw="AAAA", salvaged=True))
    assert not event.salvaged
    assert event.raw.startswith(b'{"kind":"Event"')


def test_an_event_that_the_api_server_cut_is_incomplete() -> None:
    cut = creation(requestObject=None, responseObject=None, annotations={"audit.k8s.io/truncated": "true"})
    assert decoded(cut).incomplete


def test_two_requests_with_one_audit_id_stay_two() -> None:
    first, second = creation(auditID="same"), creation("writer", auditID="same")
    assert len({event.sha256 for event in decode(event_list(first, second)).events}) == 2


def test_huge_numbers_do_not_stop_anything() -> None:
    body = (
        as_bytes(creation()).replace(b'"4711"', b"1e999", 1).replace(b'"uid":', b'"n":' + b"9" * 5000 + b',"uid":', 1)
    )
    (event,) = decode(body).events
    assert event.response["metadata"]["resourceVersion"] == "1e999"
