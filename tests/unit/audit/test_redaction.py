import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alerts.audit import credentials, redaction
from alerts.audit.decode import decode
from tests.conftest import DATA
from tests.unit.audit.events import as_bytes, creation, decoded

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl"
SECRET = {"kind": "Secret", "metadata": {"name": "db"}, "data": {"password": "aHVudGVyMg=="}}


def body_of(**changes: Any) -> dict[str, Any]:
    return redaction.redacted(decoded(creation(**changes)))


def secret_event(resource: str = "secrets", **changes: Any) -> dict[str, Any]:
    return body_of(objectRef={"resource": resource, "namespace": "web", "name": "db", "apiVersion": "v1"}, **changes)


def test_an_ordinary_event_is_kept_as_it_is() -> None:
    assert body_of() == creation()


@pytest.mark.parametrize(
    "request_object",
    [
        SECRET,
        {"kind": "Secret", "stringData": {"password": "aHVudGVyMg=="}},
        {"data": {"password": "aHVudGVyMg=="}},
        [{"op": "add", "path": "/data/password", "value": "aHVudGVyMg=="}],
        [{"op": "replace", "path": "", "value": {"data": {"password": "aHVudGVyMg=="}}}],
        {"kind": "SecretList", "items": [{"metadata": {"name": "db"}, "data": {"password": "aHVudGVyMg=="}}]},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(SECRET)}}},
    ],
    ids=[
        "whole",
        "string data",
        "merge patch",
        "JSON patch",
        "JSON patch of everything",
        "list",
        "copy of kubectl apply",
    ],
)
@pytest.mark.parametrize("resource", ["secrets", "configmaps"])
def test_the_content_of_secrets_and_config_maps_is_never_kept(resource: str, request_object: Any) -> None:
    kept = secret_event(resource, requestObject=request_object, responseObject=None)
    assert "aHVudGVyMg==" not in json.dumps(kept)
    assert "redacted" in json.dumps(kept)
    assert kept["objectRef"]["name"] == "db"


def test_a_secret_inside_another_request_is_not_kept_either() -> None:
    assert "aHVudGVyMg==" not in json.dumps(body_of(requestObject={"kind": "List", "items": [SECRET]}))


# What a real API server answers to a patch that makes no secret of it
QUOTED = (
    r'Secret "db" is invalid: patch: Invalid value: "{\"data\":{\"p\":\"hunter2\"}}": json: cannot unmarshal number',
    'unrecognized type: "map[stringData:map[password:hunter2 port:5432]]": cannot convert int64 to string',
)


@pytest.mark.parametrize("message", QUOTED)
@pytest.mark.parametrize("resource", ["secrets", "configmaps", "deployments"])
def test_what_a_refusal_quotes_is_not_kept(resource: str, message: str) -> None:
    status = {"code": 422, "message": message, "details": {"name": "db", "causes": [{"message": message}]}}
    kept = secret_event(resource, responseStatus=status, responseObject={"kind": "Status", **status})
    assert "hunter2" not in json.dumps(kept)
    assert kept["responseStatus"]["details"]["name"] == "db"


def test_why_somebody_may_not_is_kept() -> None:
    refused = {"code": 403, "message": 'secrets "db" is forbidden: User "jane" cannot get resource "secrets"'}
    annotations = {"authorization.k8s.io/decision": "forbid"}
    assert secret_event(responseStatus=refused, annotations=annotations)["responseStatus"] == refused


@pytest.mark.parametrize(
    "changes",
    [
        {"requestObject": json.dumps(SECRET)},
        {"requestObject": {"metadata": {"annotations": {"kapp.k14s.io/original": json.dumps(SECRET)}}}},
        {"annotations": {"patch.webhook.admission.k8s.io/round_0_index_0": json.dumps({"patch": [
            {"op": "add", "path": "/data/password", "value": "aHVudGVyMg=="}]})}},
        {"requestObject": {"kind": "Status", "data": {"password": "aHVudGVyMg=="}}},
    ],
    ids=["a string", "copy of another tool", "patch of a webhook", "under another kind"],
)  # fmt: skip
def test_the_content_of_a_secret_is_kept_in_no_other_form_either(changes: dict[str, Any]) -> None:
    assert "aHVudGVyMg==" not in json.dumps(secret_event(**{"responseObject": None} | changes))


def test_what_a_webhook_patched_into_another_object_is_kept_without_credentials() -> None:
    patch = [{"op": "add", "path": "/spec/env", "value": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]
    annotations = {"patch.webhook.admission.k8s.io/round_0_index_0": json.dumps({"webhook": "w", "patch": patch})}
    kept = json.dumps(body_of(annotations=annotations))
    assert "hunter2" not in kept
    assert "DB_PASSWORD" in kept


def test_whose_token_a_secret_holds_stays() -> None:
    body = {"kind": "Secret", "metadata": {"annotations": {"kubernetes.io/service-account.name": "ci"}}}
    assert secret_event(requestObject=body)["requestObject"] == body


def test_what_damage_moved_out_of_a_body_is_not_kept() -> None:
    raw = as_bytes(creation(requestObject="@@")).replace(b'"@@"', b'kind "stringData":{"p":"hunter2"}')
    (event,) = decode(raw).events
    assert "hunter2" not in json.dumps(redaction.redacted(event))


def test_the_names_of_what_a_secret_holds_stay() -> None:
    assert secret_event(requestObject=SECRET)["requestObject"]["data"] == {"password": credentials.HIDDEN}


def test_a_token_that_was_issued_is_not_kept() -> None:
    kept = body_of(
        objectRef={"resource": "serviceaccounts", "subresource": "token", "name": "ci"},
        responseObject={
            "kind": "TokenRequest",
            "status": {"token": JWT, "expirationTimestamp": "2026-11-24T00:00:00Z"},
        },
    )
    assert kept["responseObject"]["status"] == {
        "token": credentials.HIDDEN,
        "expirationTimestamp": "2026-11-24T00:00:00Z",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "Pod", "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]}},
        {"kind": "Pod", "spec": {"containers": [{"args": ["--token=hunter2", "--api_key=hunter2"]}]}},
        {"kind": "Pod", "spec": {"containers": [{"args": ["join", "--discovery-token", "hunter2"]}]}},
        {"kind": "Pod", "spec": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": "hunter2"}]}}},
        {"kind": "Deployment", "spec": {"accessToken": "hunter2", "bearer_token": "hunter2", "apiKey": ["hunter2"]}},
        [{"op": "add", "path": "/spec/password", "value": "hunter2"}],
        [
            {
                "op": "add",
                "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration",
                "value": json.dumps({"kind": "Pod", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}),
            }
        ],
        {"kind": "Config", "users": [{"user": {"client-key-data": "hunter2"}}]},
        {"kind": "Probe", "headers": {"Authorization": ["hunter2"], "X-Auth-Token": "hunter2", "Cookie": "hunter2"}},
        {"kind": "Note", "text": "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----"},
        {"kind": "Note", "text": "-----BEGIN PRIVATE KEY-----\nhunter2 and no end"},
        {"kind": "TokenReview", "spec": {"token": "hunter2"}},
        {"metadata": {"annotations": {redaction._COPY: json.dumps({"kind": "Secret", "data": {"a": "hunter2"}})}}},
        {"metadata": {"annotations": {redaction._COPY: json.dumps({"kind": "X", "env": {"password": "hunter2"}})}}},
        {"metadata": {"annotations": {redaction._COPY: "{cut password=hunter2"}}},
    ],
)
def test_credentials_in_any_object_are_not_kept(body: dict[str, Any]) -> None:
    kept = json.dumps(body_of(requestObject=body, responseObject={"kind": "List", "items": [body]}))
    assert "hunter2" not in kept
    assert credentials.HIDDEN in kept


def test_a_copy_of_an_object_without_secrets_stays_readable() -> None:
    copied = {"kind": "ClusterRole", "metadata": {"name": "größe"}, "rules": []}
    kept = body_of(requestObject={"metadata": {"annotations": {redaction._COPY: json.dumps(copied)}}})
    assert json.loads(kept["requestObject"]["metadata"]["annotations"][redaction._COPY]) == copied


def test_a_certificate_request_and_the_names_of_secrets_stay() -> None:
    body = {"kind": "CertificateSigningRequest", "spec": {"request": "LS0tLS1CRUdJTiBDRVJU", "usages": ["client auth"]}}
    pod = {"kind": "Pod", "spec": {"volumes": [{"name": "v", "secret": {"secretName": "db"}}]}}
    kept = body_of(requestObject=body, responseObject=pod)
    assert (kept["requestObject"], kept["responseObject"]) == (body, pod)


def test_a_secret_that_google_logged_is_not_kept_either() -> None:
    entry = json.loads((DATA / "audit/envelopes/gke-log-entry.json").read_text())
    entry["protoPayload"] |= {
        "methodName": "io.k8s.core.v1.secrets.create",
        "resourceName": "core/v1/namespaces/web/secrets/db",
        "request": {"@type": "core.k8s.io/v1.Secret", "data": {"password": "aHVudGVyMg=="}},
        "response": {"@type": "core.k8s.io/v1.Secret", "stringData": {"password": "aHVudGVyMg=="}},
    }
    (event,) = decode(json.dumps(entry).encode()).events
    kept = redaction.redacted(event)
    assert "aHVudGVyMg==" not in json.dumps(kept)
    assert kept["requestObject"]["kind"] == "Secret"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"see {JWT}", "see [redacted]"),
        ("Authorization: Bearer s3cr3t-token", "Authorization: Bearer [redacted]"),
        ("authorization:Basic dXNlcjpwYXNz", "authorization:Basic [redacted]"),
        (
            "?command=curl&command=Authorization%3A+Bearer+abc123def",
            "?command=curl&command=Authorization%3A+Bearer+[redacted]",
        ),
        ("bearer 0123456789abcdef", "bearer [redacted]"),
        ("/proxy?token=abc&limit=5", "/proxy?token=[redacted]&limit=5"),
        ("the bearer authentication plugin", "the bearer authentication plugin"),
        (
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        ),
    ],
)
def test_credentials_in_text_are_hidden(text: str, kept: str) -> None:
    assert redaction.text(text) == kept


@given(st.text())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redaction.text(text)
    assert redaction.text(once) == once


@pytest.mark.parametrize("path", sorted((DATA / "audit" / "hostile").iterdir()), ids=lambda path: path.stem)
def test_what_is_kept_of_a_hostile_event_is_json_that_a_database_holds(path: Any) -> None:
    for event in decode(path.read_bytes()).events:
        text = json.dumps(redaction.redacted(event), allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
        assert "\\u0000" not in text


def test_of_a_damaged_event_whatever_can_be_read_is_kept() -> None:
    raw = as_bytes(creation(requestObject="@@")).replace(b'"@@"', b"[" * 5000 + b"]" * 5000)
    (event,) = decode(raw).events
    kept = redaction.redacted(event)
    assert kept["requestObject"] == redaction.UNREADABLE
    assert kept["responseObject"] == creation()["responseObject"]


@pytest.mark.parametrize("inside", [b'{"a\0b":1}', b'{"a":"b\0"}', b'"a\0"'])
def test_of_an_event_with_a_raw_nul_what_is_kept_a_database_holds(inside: bytes) -> None:
    for member in (b'"extra":' + inside, b'"ex\0tra":1'):
        raw = as_bytes(creation()).replace(b'"verb"', member + b',"verb"', 1)
        (event,) = decode(raw).events
        assert "\\u0000" not in json.dumps(redaction.redacted(event))


@pytest.mark.parametrize("kind", [{}, [], ["Secret"], {"Secret": {}}, 7, None, True])
def test_a_kind_that_is_no_word_breaks_nothing(kind: object) -> None:
    body = {"kind": kind, "spec": {"kind": kind, "replicas": 1}}
    assert body_of(requestObject=body)["requestObject"] == body


_SPELLED = st.sampled_from(
    [
        *credentials._ENDINGS,
        *("kind", "Secret", "ConfigMapList", "data", "value", "name", "DB_PASSWORD", "spec", "to\u212aen", "x\0y"),
        *(
            "authorization: Basic dXNlcg",
            "AUTHORIZATION%3dabc",
            "bearer abc1defgh",
            "eyJhbGciOi.eyJzdWIiOi.",
            "a?token=b",
        ),
        *(
            "id_token%3Db",
            "passwd=b",
            "secret_access_key=b",
            "api_key: b",
            "API_KEY=b",
            "-----BEGIN PRIVATE KEY-----",
            redaction._COPY,
            f"{redaction._PATCH}round_0_index_0",
            "--token",
            "kubeadm --token abc",
            "https://u:p@h",
            "a%3Db",
            *QUOTED,
        ),
        *("op", "path", "/spec/token", "message", "Status", "X-Vault-Token: a"),
        *('{"data": "x"}', "größe", 'a "quoted" word', "system:masters", "serviceaccounts/token"),
    ]
)
_WORDS = st.one_of(_SPELLED, _SPELLED.map(str.upper), _SPELLED.map(lambda word: word.replace("-", "_")))
_BODIES = st.recursive(
    st.one_of(_WORDS, st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=3)),
    max_leaves=6,
)


@given(body=_BODIES, escaped=st.booleans(), uri=_WORDS)
@example(body={"name": "DEPLOY_TOKEN", "value": "hunter2"}, escaped=False, uri="/apis")
@example(body={"to\u212aen": "hunter2"}, escaped=False, uri="/apis")
@example(body={"to\u212aen": "hunter2"}, escaped=True, uri="/apis")
@example(body="x\0y", escaped=True, uri="/apis")
@example(body=JWT, escaped=False, uri="/apis")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_told_to_be_harmless_at_a_look_is_kept_as_if_all_of_it_was_looked_at(
    body: Any, escaped: bool, uri: str
) -> None:
    raw = json.dumps(creation(requestObject={"spec": body}, requestURI=uri), ensure_ascii=escaped)
    (event,) = decode(raw.encode()).events
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_is_harmless", lambda _raw: False)
        looked_at = redaction.redacted(event)
    assert redaction.redacted(event) == looked_at


def test_an_ordinary_event_is_told_to_be_harmless_at_a_look_and_one_that_is_escaped_is_not() -> None:
    assert redaction._is_harmless(as_bytes(creation()))
    assert not redaction._is_harmless(as_bytes(creation()).replace(b"198", b"\\u00319"))
