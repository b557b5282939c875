"""What can go wrong with a cluster, each said as a sentence that tells what to do."""

from collections.abc import Mapping


class ClusterError(Exception):
    """A call to a cluster that did not do what was asked. `transient` tells whether trying later can help."""

    status: int | None = None
    transient = False


class AddressRefused(ClusterError):
    """The address is one that Rolecall does not connect to."""


class Unreachable(ClusterError):
    """No connection came about, so nothing was sent."""

    transient = True


class Unanswered(Unreachable):
    """Sent, but no complete answer came: a change may have happened. Read the object before repeating."""


class CertificateUntrusted(ClusterError):
    """The server's certificate was not signed by the authority we know, is for another name, or has expired."""


class Unauthorized(ClusterError):
    """The cluster does not know our token (401)."""

    status = 401


class Forbidden(ClusterError):
    """RBAC gives our account no permission for this request (403).

    `rule` is the PolicyRule that is missing, as it would stand in a role; `namespace` where it is missing, "" for
    cluster-wide; `answer` what the server said.
    """

    status = 403

    def __init__(self, message: str, *, rule: Mapping[str, list[str]], namespace: str, answer: str) -> None:
        super().__init__(message)
        self.rule = dict(rule)
        self.namespace = namespace
        self.answer = answer


class Refused(ClusterError):
    """Our account has the permission, but an admission policy, a webhook or the escalation check said no.

    `answer` is what the server said.
    """

    status = 403

    def __init__(self, message: str, *, answer: str) -> None:
        super().__init__(message)
        self.answer = answer


class NotFound(ClusterError):
    """There is no such object (404)."""

    status = 404


class Conflict(ClusterError):
    """The object is not the one that was meant (409)."""

    status = 409


class UidConflict(Conflict):
    """An object of this name exists, but it is another one: the planned one was deleted and made again."""


class VersionConflict(Conflict):
    """The object was changed since it was read."""


class AlreadyExists(Conflict):
    """An object of this name exists already."""


class Invalid(ClusterError):
    """The server found the request itself wrong (400, 413, 415, 422). `answer` is what it said."""

    def __init__(self, message: str, *, status: int, answer: str) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


class Throttled(ClusterError):
    """The server asks us to come back later (429, or 503 with Retry-After). `retry_after` is in seconds."""

    transient = True

    def __init__(self, message: str, *, status: int, retry_after: float) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Failed(ClusterError):
    """The server failed (5xx, which is transient), or what answered is no Kubernetes API."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
        self.transient = status >= 500
