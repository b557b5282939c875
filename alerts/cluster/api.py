"""The Kubernetes API as far as Rolecall needs it: plain manifests in and out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from alerts.cluster.call import Call
from alerts.cluster.connection import Connection
from alerts.cluster.errors import Failed
from alerts.cluster.kinds import KINDS, WORKLOAD_KINDS, Manifest, ObjectReference
from alerts.cluster.manifests import without_managed_fields
from alerts.rbac import Request

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete came to. Unfinished, the object is still there and still in force until its finalizers let go."""

    finished: bool
    finalizers: tuple[str, ...]
    body: Manifest


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the cluster would allow a call, and why it says so."""

    allowed: bool
    reason: str
    evaluation_error: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an account is to the cluster."""

    username: str
    uid: str
    groups: tuple[str, ...]


class ClusterAPI:
    """One cluster's API, used with one token. Safe to share between threads; close it, or use it as a context manager.

    `certificate_authority` is PEM; empty means the system's trusted authorities. `timeout` is in seconds, for a whole
    call. Every method raises a ClusterError where the cluster does not do what was asked. An `audit_id` is what the
    cluster writes into its audit events for that call. Nothing is ever retried.
    Raises AddressRefused for an address that can never be an API server's.
    """

    def __init__(
        self,
        address: str,
        token: str,
        certificate_authority: str = "",
        *,
        private_address_allowed: bool = False,
        timeout: float = 10.0,
    ) -> None:
        self.address = address
        self._connection = Connection(
            address,
            token,
            certificate_authority,
            private_address_allowed=private_address_allowed,
            timeout=timeout,
        )

    def __repr__(self) -> str:
        return f"<ClusterAPI {self.address}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def read(self, reference: ObjectReference, *, audit_id: str | None = None) -> Manifest:
        """Return the object's manifest."""
        found: Manifest = self._connection.send(_about(reference, "GET", "get", audit_id=audit_id))
        return found

    def list_all(self, kind: str, *, namespace: str = "", audit_id: str | None = None) -> list[Manifest]:
        """Return all objects of a kind, page by page, each with its apiVersion and kind (which lists leave out)."""
        served = KINDS[kind]
        identity = {"apiVersion": served.api_version, "kind": kind}
        return [identity | item for page in self._pages(kind, namespace, audit_id) for item in page.get("items") or []]

    def _pages(self, kind: str, namespace: str, audit_id: str | None) -> Iterator[Manifest]:
        served, token = KINDS[kind], ""
        request = Request("list", served.group, served.plural, namespace=namespace)
        while True:
            query = {"limit": str(_PAGE)} | ({"continue": token} if token else {})
            page = self._connection.send(
                Call("GET", served.collection(namespace), request, query=query, audit_id=audit_id)
            )
            yield page
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    def delete(
        self,
        reference: ObjectReference,
        *,
        uid: str,
        resource_version: str | None,
        dry_run: bool = False,
        audit_id: str | None = None,
    ) -> Deletion:
        """Delete the very object of this uid and version, or rehearse it.

        `resource_version` may be None for workloads, whose status changes all the time. Dependants are left to the
        garbage collector (propagationPolicy Background): Foreground would keep the object, and what it grants, alive.
        The containers of a pod get a second to end; what ends them without waiting would not know that they did.
        Raises NotFound, UidConflict, VersionConflict.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version is not None else {})
        options: Manifest = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        if dry_run:
            options["dryRun"] = ["All"]
        if reference.kind == "Pod":
            options["gracePeriodSeconds"] = 1
        body = self._connection.send(_about(reference, "DELETE", "delete", body=options, audit_id=audit_id))
        metadata = body.get("metadata", {})
        finalizers = tuple(metadata.get("finalizers") or ())
        # Some kinds are answered with the object although it is gone: service accounts, and pods that never ran.
        lingers = "deletionTimestamp" in metadata and (finalizers or metadata.get("deletionGracePeriodSeconds") != 0)
        return Deletion(finished=not lingers, finalizers=finalizers, body=body)

    def patch(
        self,
        reference: ObjectReference,
        merge: Manifest,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
        audit_id: str | None = None,
    ) -> Manifest:
        """Apply a JSON merge patch (RFC 7386), pinned to uid and version where given, and return the new manifest.

        Raises NotFound, UidConflict, VersionConflict, Refused (escalation), Invalid.
        """
        pins = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value is not None}
        if pins:
            merge = merge | {"metadata": merge.get("metadata", {}) | pins}
        patched: Manifest = self._connection.send(
            _about(
                reference,
                "PATCH",
                "patch",
                body=merge,
                dry_run=dry_run,
                content_type="application/merge-patch+json",
                audit_id=audit_id,
            )
        )
        return patched

    def create(self, manifest: Manifest, *, dry_run: bool = False, audit_id: str | None = None) -> Manifest:
        """Create the object and return it as the cluster keeps it.

        Raises AlreadyExists, Refused (escalation), Invalid.
        """
        kind, namespace = KINDS[manifest["kind"]], manifest["metadata"].get("namespace", "")
        created: Manifest = self._connection.send(
            Call(
                "POST",
                kind.collection(namespace),
                Request("create", kind.group, kind.plural, namespace=namespace),
                query={"dryRun": "All"} if dry_run else None,
                body=manifest,
                audit_id=audit_id,
            )
        )
        return created

    def can(self, user: str, groups: Sequence[str], request: Request, *, audit_id: str | None = None) -> Answer:
        """Ask whether somebody of these groups may do something (SubjectAccessReview)."""
        return self._review(
            "SubjectAccessReview", {"user": user, "groups": list(groups)} | _attributes(request), audit_id
        )

    def may(self, request: Request, *, audit_id: str | None = None) -> Answer:
        """Ask whether our own account may do something (SelfSubjectAccessReview)."""
        return self._review("SelfSubjectAccessReview", _attributes(request), audit_id)

    def _review(self, kind: str, spec: Manifest, audit_id: str | None) -> Answer:
        group = "authorization.k8s.io"
        status = self._ask(group, kind, spec, audit_id)
        return Answer(
            allowed=status.get("allowed") is True,
            reason=str(status.get("reason", "")),
            evaluation_error=str(status.get("evaluationError", "")),
        )

    def whoami(self, *, audit_id: str | None = None) -> Identity:
        """Return who our own account is (SelfSubjectReview)."""
        user = self._ask("authentication.k8s.io", "SelfSubjectReview", {}, audit_id).get("userInfo", {})
        return Identity(user.get("username", ""), user.get("uid", ""), tuple(user.get("groups") or ()))

    def _ask(self, group: str, kind: str, spec: Manifest, audit_id: str | None) -> Manifest:
        """Return the status of a review, an object that is answered and never stored."""
        resource = f"{kind.lower()}s"
        question = {"apiVersion": f"{group}/v1", "kind": kind} | ({"spec": spec} if spec else {})
        call = Call(
            "POST", f"/apis/{group}/v1/{resource}", Request("create", group, resource), body=question, audit_id=audit_id
        )
        reviewed = self._connection.send(call)
        status: Manifest = reviewed.get("status") or {}
        return status

    def version(self) -> str:
        """Return the server's version, such as v1.36.3."""
        info = self._connection.send(Call("GET", "/version", Request("get", path="/version")))
        if "gitVersion" not in info:
            raise Failed("What answers is no Kubernetes API. Check the cluster's address.", status=200)
        return str(info["gitVersion"])

    def namespaces(self) -> list[Manifest]:
        """Return all namespaces."""
        return self.list_all("Namespace")

    def network_policies(self) -> list[Manifest]:
        """Return all network policies."""
        return self.list_all("NetworkPolicy")

    def admission_policies(self) -> list[Manifest]:
        """Return all validating admission policies."""
        return self.list_all("ValidatingAdmissionPolicy")

    def admission_policy_bindings(self) -> list[Manifest]:
        """Return what puts validating admission policies in force."""
        return self.list_all("ValidatingAdmissionPolicyBinding")

    def workloads(self) -> list[Manifest]:
        """Return all pods and what makes pods, without status and managedFields."""
        return [
            {key: value for key, value in without_managed_fields(item).items() if key != "status"}
            for kind in WORKLOAD_KINDS
            for item in self.list_all(kind)
        ]


def _about(reference: ObjectReference, method: str, verb: str, *, dry_run: bool = False, **rest: Any) -> Call:
    """Return a call about one object."""
    kind = KINDS[reference.kind]
    request = Request(verb, kind.group, kind.plural, name=reference.name, namespace=reference.namespace)
    return Call(method, reference.path, request, query={"dryRun": "All"} if dry_run else None, **rest)


def _attributes(request: Request) -> Manifest:
    if request.path is not None:
        return {"nonResourceAttributes": {"path": request.path, "verb": request.verb}}
    return {
        "resourceAttributes": {
            "verb": request.verb,
            "group": request.group,
            "resource": request.resource,
            "subresource": request.subresource,
            "namespace": request.namespace,
            "name": request.name,
        }
    }
