"""What an HTTP request asks for (RequestInfo, apiserver/pkg/endpoints/request/requestinfo.go)."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from alerts.cluster.kinds import Kind, kind_of
from alerts.cluster.practice import selectors
from alerts.rbac import Request

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "DELETE": "delete"}


@dataclass(frozen=True)
class RequestInfo:
    """A request's verb and object. Without a `resource` it is about none, and only `path` counts."""

    verb: str
    path: str
    query: dict[str, str]
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def kind(self) -> Kind | None:
        """The kind that is served there, where it is one of ours."""
        return kind_of(self.group, self.resource) if self.resource and self.version == "v1" else None

    @property
    def request(self) -> Request:
        """The same for an authorizer."""
        if not self.resource:
            return Request(self.verb, path=self.path)
        return Request(self.verb, self.group, self.resource, self.subresource, self.name, self.namespace)

    @property
    def dry_run(self) -> bool:
        """Tell whether the query asks for a dry run."""
        return self.query.get("dryRun") == "All"


def parse(method: str, target: str) -> RequestInfo:
    """Return what a request line asks for."""
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = unquote(parts.path)
    segments = path.strip("/").split("/")
    prefix = 2 if segments[0] == "api" else 3
    if segments[0] not in {"api", "apis"} or len(segments) <= prefix:
        return RequestInfo(method.lower(), path, query)
    group, version = ("", segments[1]) if prefix == 2 else (segments[1], segments[2])
    rest, namespace = segments[prefix:], ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        rest = rest[2:] if len(rest) > 2 and rest[2] not in {"status", "finalize"} else rest
    resource, name, subresource = (*rest[:3], "", "")[:3] if len(rest) < 3 else rest[:3]
    verb = _verb(method, name, query)
    if verb in {"list", "watch"}:  # of a single object, it is a request for that object
        name = selectors.exact(query.get("fieldSelector", ""), "metadata.name")
    return RequestInfo(verb, path, query, group, version, resource, subresource, namespace, name)


def _verb(method: str, name: str, query: dict[str, str]) -> str:
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and not name:
        return "watch" if query.get("watch") in {"1", "true"} else "list"
    return "deletecollection" if verb == "delete" and not name else verb
