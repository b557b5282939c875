"""An audit event of audit.k8s.io/v1, with its bodies left as bytes until somebody wants them.

Field by field after staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go of Kubernetes. Everything in it is text
that somebody may have chosen; only the last of `source_ips` and what the API server fills in itself can be relied on.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote

from msgspec import Meta, Raw, Struct, field

from alerts.audit import salvage
from alerts.audit.reason import Grant
from alerts.audit.remembered import remembered

RBAC_GROUP = "rbac.authorization.k8s.io"
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
DELETIONS = frozenset({"delete", "deletecollection"})
# At which watches and other long-running requests have begun.
LONG_RUNNING = "ResponseStarted"
# The stages at which a request is over. Where the stage is unknown too: Google's logs have none, for they hold finished
# requests only.
FINAL_STAGES: frozenset[str | None] = frozenset({"ResponseComplete", "Panic", None})
UNBODIED = Raw(b"")
LOG_HEADER = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
# Of these no request is rehearsed: their handlers look at no dryRun (TokenREST.Create in
# pkg/registry/core/serviceaccount/storage, and whatever is a Connecter).
_NEVER_REHEARSED = frozenset({"token", "exec", "attach", "portforward", "proxy"})
# Of an address with more parameters Go reads none, and older versions read them all (urlmaxqueryparams in net/url).
_MOST_PARAMETERS = 10_000
# By `Accept: application/json;as=Table` and the like (transformResponseObject in pkg/endpoints/handlers/response.go).
ABRIDGED = frozenset({"PartialObjectMetadata", "PartialObjectMetadataList", "Table"})
# What is answered before any object of a collection is deleted, though the authorizer allowed it.
BEFORE_ANY = frozenset({404, 405, 406, 415, 429})

Code = Annotated[int, Meta(ge=0, le=999)]
Time = Annotated[datetime, Meta(tz=True)]


class Person(Struct, frozen=True, gc=False):
    """A user as the API server authenticated it; nobody for a request that it could not authenticate (401)."""

    username: str = ""
    uid: str | None = None
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None


class ObjectReference(Struct, frozen=True, gc=False, rename="camel"):
    """What a request is about."""

    resource: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_group: str = ""
    api_version: str = ""
    resource_version: str = ""
    subresource: str = ""


class ResponseStatus(Struct, frozen=True, gc=False):
    """How a request ended."""

    code: Code | None = None
    reason: str = ""
    message: str = ""


class Event(Struct, frozen=True, gc=False, rename="camel"):
    """One stage of one request. What the envelope lacks is None, which is unknown and not empty."""

    audit_id: str = field(name="auditID")
    verb: str
    user: Person
    stage: str | None = None
    request_uri: str | None = field(name="requestURI", default=None)
    level: str | None = None
    impersonated_user: Person | None = None
    source_ips: tuple[str, ...] | None = field(name="sourceIPs", default=None)
    user_agent: str | None = None
    object_ref: ObjectReference | None = None
    response_status: ResponseStatus | None = None
    request_object: Raw = UNBODIED
    response_object: Raw = UNBODIED
    request_received_timestamp: Time | None = None
    stage_timestamp: Time | None = None
    annotations: dict[str, str] | None = None
    # Not part of the event: `decode` sets both, whatever stood there.
    raw: bytes = b""
    salvaged: bool = False

    @property
    def sha256(self) -> str:
        """The hash of the event's bytes, the same whether it came from a webhook or, with its header, from a log."""
        body = self.raw.removeprefix(LOG_HEADER) if self.raw.startswith(LOG_HEADER) else self.raw.removeprefix(b"{")
        return hashlib.sha256(body).hexdigest()

    @property
    def at(self) -> datetime | None:
        """When the request reached the API server."""
        return self.request_received_timestamp or self.stage_timestamp

    @property
    def ended_at(self) -> datetime | None:
        """When the request was over: by then what it wrote had taken effect.

        A request may reach the API server long before, for whoever makes it may take their time to send its body.
        """
        times = [time for time in (self.request_received_timestamp, self.stage_timestamp) if time]
        # Not before it began, should the clock have been set back meanwhile.
        return max(times, default=None)

    @property
    def actor(self) -> str:
        """Who really made the request, impersonating somebody or not; "" where nobody was authenticated."""
        return self.user.username

    @property
    def path(self) -> str:
        """The path of the request's address as the API server routes and authorizes it, "" where it is unknown.

        The address is logged as it was written. Go undoes the escapes of the path, once, before anybody looks at it
        (URL.Path in net/url); slashes, dots and letter case are left as they are.
        """
        return unquote((self.request_uri or "").partition("?")[0])

    @property
    def query(self) -> str:
        """What follows the path in the request's address, without the question mark."""
        return (self.request_uri or "").partition("?")[2]

    @property
    def group(self) -> str:
        """The API group of what the request is about."""
        return self.object_ref.api_group if self.object_ref else ""

    @property
    def resource(self) -> str:
        """The resource, in the plural that URLs use; "" for a request about none."""
        return self.object_ref.resource if self.object_ref else ""

    @property
    def subresource(self) -> str:
        """The subresource, or ""."""
        return self.object_ref.subresource if self.object_ref else ""

    @property
    def namespace(self) -> str:
        """The namespace, or ""."""
        return self.object_ref.namespace if self.object_ref else ""

    @property
    def name(self) -> str:
        """The object's name. One that the API server made up (generateName) is only in its answer."""
        named = self.object_ref.name if self.object_ref else ""
        if named or self.verb != "create" or self.succeeded is False:
            return named
        return _text(self.answered.get("name"))

    @property
    def code(self) -> int | None:
        """The HTTP status, or None where it is unknown."""
        return self.response_status.code if self.response_status else None

    @property
    def succeeded(self) -> bool | None:
        """Whether the request was carried out; None where that is unknown. A dry run succeeds too.

        Above 500 it may have been: whoever asks for a short timeout, or hangs up, is told 504 while the write goes on
        (finishRequest in pkg/endpoints/handlers/finisher of k8s.io/apiserver). Of a collection some may be gone where
        one could not be deleted, for a precondition or a policy (DeleteCollection in pkg/registry/generic/registry).
        """
        if self.code is None or self.code >= 500 or self.stage == "Panic":
            return None
        if self.verb == "deletecollection" and self.code >= 400 and self.decision == "allow":
            return False if self.code in BEFORE_ANY else None
        return self.code < 400

    @property
    def dry_run(self) -> bool | None:
        """Whether the request was a rehearsal; None where that cannot be known.

        Of a deletion its body says so, which is logged from level Request on, and the address only where it has none
        (DeleteResource in pkg/endpoints/handlers/delete.go of k8s.io/apiserver); everything else says so in its
        address. Only "All" is a dry run, every other value is refused (ValidateDryRun in apimachinery's
        meta/v1/validation). A read is carried out whatever its address says, and so is what makes a token or a shell.
        """
        if (self.verb and self.verb not in WRITES) or self.subresource in _NEVER_REHEARSED:
            return False
        if self.verb not in DELETIONS:
            return self._rehearsed_by_address if self.request_uri else None
        if self.level not in {"Request", "RequestResponse"} or self.truncated:
            return None
        options = self.request
        if isinstance(options, dict):
            return bool(options.get("dryRun"))
        # Of a cut event nobody knows whether there was a body.
        return None if bytes(self.request_object) or self.salvaged else self._rehearsed_by_address

    @property
    def _rehearsed_by_address(self) -> bool | None:
        # Parsed only where it may be there, be its name escaped or not.
        uri = self.request_uri or ""
        said = ("dryRun" in uri or "%" in uri) and "All" in parse_qs(self.query).get("dryRun", ())
        return None if said and self.query.count("&") >= _MOST_PARAMETERS else said

    @property
    def decision(self) -> str:
        """What the authorizer decided, "allow" or "forbid"; a request may be allowed and refused later."""
        return (self.annotations or {}).get("authorization.k8s.io/decision", "")

    @property
    def reason(self) -> str:
        """The authorizer's reason, as it stands."""
        return (self.annotations or {}).get("authorization.k8s.io/reason", "")

    @property
    def allowed_by(self) -> Grant | None:
        """The role and binding that allowed the request; None for system:masters, other authorizers, or refusals."""
        return Grant.of(self.reason)

    @property
    def request(self) -> Any:
        """The body of the request, parsed; None where it is absent or unreadable. For a patch it is the patch."""
        return _parsed(self.request_object)

    @property
    def response(self) -> Any:
        """The body of the answer, parsed; None where it is absent or unreadable."""
        return _parsed(self.response_object)

    @property
    def abridged(self) -> bool:
        """Whether the client asked to be answered without the object, of which the log then shows no more either."""
        return isinstance(self.response, dict) and _text(self.response.get("kind")) in ABRIDGED

    @property
    def answered(self) -> dict[str, Any]:
        """The metadata of the one object in the answer, in whatever form; empty where there is none."""
        if not self.abridged or self.response["kind"] == "PartialObjectMetadata":
            return metadata_of(self.response)
        listed = objects_in(self.response) or []
        return metadata_of(listed[0]) if len(listed) == 1 else {}

    @property
    def truncated(self) -> bool:
        """Whether the API server left out the bodies because the event was too large."""
        return (self.annotations or {}).get("audit.k8s.io/truncated") == "true"

    @property
    def incomplete(self) -> bool:
        """Whether something of the event is missing or could not be read."""
        return self.salvaged or self.truncated

    @property
    def writes_rbac(self) -> bool:
        """Whether this is a finished request to change a role or binding, carried out or not."""
        # In this order: most events are no writes.
        return self.verb in WRITES and self.group == RBAC_GROUP and self.stage in FINAL_STAGES and not self.subresource


def metadata_of(manifest: Any) -> dict[str, Any]:
    """Return a manifest's metadata, empty where there is none."""
    metadata = manifest.get("metadata") if isinstance(manifest, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def objects_in(answer: Any) -> list[Any] | None:
    """Return the objects that an answer lists, or their metadata; None where it lists none, or leaves out which."""
    if not isinstance(answer, dict):
        return None
    if answer.get("kind") != "Table":
        return items if isinstance(items := answer.get("items"), list) else None
    rows = answer.get("rows")
    found = [row.get("object") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else [None]
    return found if all(metadata_of(each).get("name") for each in found) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _parsed(body: Raw) -> Any:
    return _read(bytes(body))


# Every detection asks for the bodies of its event again.
@remembered(entries=8, longest=128 * 1024)
def _read(content: bytes) -> Any:
    if not content:
        return None
    try:
        return salvage.parse(content)
    except salvage.Unreadable:
        return None
