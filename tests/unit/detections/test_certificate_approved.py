import base64
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alerts import detections
from alerts.detections import Identity
from alerts.rbac import Subject
from tests.unit.audit.events import UID, creation, decoded, metadata_only
from tests.unit.detections.examples import findings, found

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = f"{CLIENT}-kubelet"
CONTROLLER = {"username": "system:serviceaccount:kube-system:certificate-controller"}


@cache
def signing_request(user: str = "eve", group: str = "system:masters") -> str:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group), x509.NameAttribute(NameOID.COMMON_NAME, user)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


def approval(signer: str = CLIENT, condition: str = "Approved", request: Any = None, **changes: Any) -> dict[str, Any]:
    answer = {
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "mine", "uid": UID},
        "spec": {"request": request or signing_request(), "signerName": signer, "username": "eve"},
        "status": {"conditions": [{"type": condition, "status": "True"}]},
    }
    ref = {"resource": "certificatesigningrequests", "subresource": "approval", "name": "mine",
           "apiGroup": "certificates.k8s.io"}  # fmt: skip
    fields = {"verb": "update", "objectRef": ref, "responseStatus": {"code": 200}, "requestURI": "/x"}
    return creation(**(fields | {"requestObject": answer, "responseObject": answer} | changes))


def test_an_approval_names_whom_the_certificate_is_for() -> None:
    title = "Certificate request mine approved: user eve in system:masters"
    assert found(approval()) == ("certificate_approved", title)
    identity = detections.identity("certificate_approved", decoded(approval()))
    assert identity == Identity(Subject("User", "eve"), ("system:masters",))
    assert identity.unlimited


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda decoy: decoy.rstrip() + b" x\n",
        lambda decoy: b"x" + decoy,
        lambda decoy: decoy.replace(b"\n-----END", b"-----END"),
        lambda decoy: decoy.replace(b"REQUEST-----\n", b"REQUEST-----\na: b\n", 1),
    ],
    ids=["something after it", "something before it", "its end in a line with it", "a header"],
)
def test_a_decoy_that_go_may_pass_over_does_not_hide_whom_a_certificate_names(spoilt: Callable[[bytes], bytes]) -> None:
    decoy, real = (base64.b64decode(signing_request(*names)) for names in (("alice", "dev"), ("eve", "ops")))
    request = base64.b64encode(spoilt(decoy) + real).decode()
    title = "Certificate request mine approved: user alice in dev or user eve in ops"
    assert found(approval(request=request)) == ("certificate_approved", title)
    assert detections.identity("certificate_approved", decoded(approval(request=request))) is None


@pytest.mark.parametrize(
    "before", [b"-----BEGIN CERTIFICATE REQUEST-----\n!\n-----END CERTIFICATE REQUEST-----\n", b"\xff\n"]
)
def test_what_is_no_request_hides_none_after_it(before: bytes) -> None:
    request = base64.b64encode(before + base64.b64decode(signing_request("eve", "ops"))).decode()
    assert found(approval(request=request))[1] == "Certificate request mine approved: user eve in ops"


def test_an_approval_of_which_nothing_was_recorded_is_found_all_the_same() -> None:
    assert found(metadata_only(approval())) == ("certificate_approved", "Certificate request mine approved")
    patch = approval(verb="patch", requestObject=[{"op": "add"}], responseObject=None)
    assert found(patch)[1] == "Certificate request mine approved"


def test_the_controllers_approval_of_a_kubelets_certificate_is_nothing_and_of_another_is_found() -> None:
    assert not findings(approval(KUBELET, user=CONTROLLER))
    assert findings(approval(KUBELET))
    assert findings(approval(user=CONTROLLER))
    assert findings(approval(KUBELET, user={"username": "eve"}, impersonatedUser=CONTROLLER))


@pytest.mark.parametrize(
    "event",
    [
        approval(condition="Denied"),
        approval(responseStatus={"code": 403}),
        approval(requestURI="/x?dryRun=All"),
        approval(stage="RequestReceived"),
        approval(objectRef={"resource": "certificatesigningrequests", "apiGroup": "certificates.k8s.io"}),
    ],
    ids=["denied", "refused", "rehearsed", "begun", "not the approval"],
)
def test_what_approves_nothing_is_nothing(event: dict[str, Any]) -> None:
    assert not findings(event)


@pytest.mark.parametrize("request_text", ["AAAA", "not base64 \u202e", "A" * 70_000, ["x"]])
def test_a_request_that_cannot_be_read_names_nobody_and_breaks_nothing(request_text: Any) -> None:
    event = approval(request=request_text)
    assert found(event)[1] == "Certificate request mine approved"
    assert detections.identity("certificate_approved", decoded(event)) is None


def test_a_certificate_that_logs_nobody_in_names_nobody() -> None:
    assert found(approval("kubernetes.io/kubelet-serving"))[1] == "Certificate request mine approved"


def test_one_request_is_approved_once() -> None:
    first, again = findings(approval())[0], findings(approval(auditID="other"))[0]
    assert first.fingerprint == again.fingerprint
