"""Somebody approved a request for a certificate: whoever holds its key is whom it names until it expires.

No role governs that, and it cannot be recalled. The controller that approves what kubelets ask for is how a cluster
works, and no finding. ATT&CK: T1098.006, Additional Container Cluster Roles; T1649, Steal or Forge Certificates.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from alerts.audit.event import FINAL_STAGES, Event
from alerts.detections.detection import Finding, Known, Manifest
from alerts.detections.identity import Identity
from alerts.detections.writes import CONTROLLER_MANAGER, day_of, doubt, request_of, uid_of
from alerts.rbac import Subject

NAME = "certificate_approved"
TECHNIQUES = ("T1098.006", "T1649")
# Only certificates of these signers log in to the API server.
CLIENT_SIGNERS = frozenset({"kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"})
_KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
_APPROVERS = frozenset({CONTROLLER_MANAGER, "system:serviceaccount:kube-system:certificate-controller"})
_LARGEST = 64 * 1024
# From where a block may begin to the next end of one. Which of several Go reads depends on its version and on what is
# wrong with the others (Decode in encoding/pem).
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE REQUEST-----(?=(.*?)-----END )", re.DOTALL)
_HEADERS = re.compile(rb"\s*(?:[^\n:]*:[^\n]*\n)*")


def examine(event: Event, _known: Known) -> Iterator[Finding]:
    """Yield a finding where a certificate request was approved, or may have been.

    What was not recorded counts as approved.
    """
    if (event.group, event.resource, event.subresource) != (
        "certificates.k8s.io",
        "certificatesigningrequests",
        "approval",
    ):
        return
    if event.stage not in FINAL_STAGES or event.verb not in {"update", "patch"} or event.dry_run:
        return
    request = _request(event)
    if event.succeeded is False or not _approved(request) or _ordinary(event, request):
        return
    uid, holders = uid_of(request), _identities(event)
    named = f": {' or '.join(map(_named, holders[:3]))}" if holders else ""
    cause = ["uid", uid] if uid else ["request", event.name, *request_of(event)]
    if event.succeeded is None:
        cause = ["uncertain", event.name, event.actor, day_of(event)]
    yield Finding(
        detection=NAME,
        cause=json.dumps(cause),
        title=f"Certificate request {event.name} approved{named}{doubt(event)}",
        event=event,
        name=event.name,
        uid=uid,
        recurring=event.succeeded is None,
    )


def identity(event: Event) -> Identity | None:
    """Return whom the certificate names; None where that was not recorded, or several requests in it leave it open."""
    found = _identities(event)
    return found[0] if len(found) == 1 else None


def _identities(event: Event) -> list[Identity]:
    """Return whom the certificate may name, by the request's own subject: more than one only where it is to deceive.

    The common name is the user, each organisation a group (CommonNameUserConversion of k8s.io/apiserver). A
    certificate that no API server takes for a log-in names nobody.
    """
    spec = (_request(event) or {}).get("spec")
    encoded = spec.get("request") if isinstance(spec, dict) and spec.get("signerName") in CLIENT_SIGNERS else None
    if not isinstance(encoded, str) or len(encoded) >= _LARGEST:
        return []
    try:
        text = base64.b64decode(encoded, validate=True)
    except ValueError:
        return []
    return list(dict.fromkeys(found for block in _BLOCK.finditer(text) if (found := _named_in(block[1]))))


def may_name_anybody(event: Event) -> bool:
    """Tell whether nobody knows whom the certificate names, and it may log in."""
    return identity(event) is None and signer(event) in {"", *CLIENT_SIGNERS}


def _named_in(block: bytes) -> Identity | None:
    """Return whom a block of PEM names, None where it holds no request that Go would read."""
    content = _HEADERS.sub(b"", block, count=1)
    try:
        subject = x509.load_der_x509_csr(base64.b64decode(b"".join(content.split()), validate=True)).subject
    except ValueError:
        return None
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = tuple(str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    return Identity(Subject.of_user(names[-1] if names else ""), groups)


def signer(event: Event) -> str:
    """Return who is to sign the certificate, "" where that was not recorded."""
    spec = (_request(event) or {}).get("spec")
    name = spec.get("signerName") if isinstance(spec, dict) else None
    return name if isinstance(name, str) else ""


def _named(holder: Identity) -> str:
    groups = f" in {', '.join(holder.groups[:3])}" if holder.groups else ""
    return f"{holder.subject}{groups}"


def _request(event: Event) -> Manifest | None:
    """Return the certificate request as the approval left it; a patch alone is not one."""
    for body in (event.response, event.request):
        if isinstance(body, dict) and isinstance(body.get("spec"), dict):
            return body
    return None


def _approved(request: Manifest | None) -> bool:
    status: Any = (request or {}).get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    if not isinstance(conditions, list):
        return request is None
    return any(isinstance(each, dict) and each.get("type") == "Approved" for each in conditions)


def _ordinary(event: Event, request: Manifest | None) -> bool:
    """Tell whether the controller manager approved a kubelet's own certificate, the only ones that it does."""
    if event.actor not in _APPROVERS or event.impersonated_user is not None:
        return False
    return request is None or signer(event) == _KUBELET
