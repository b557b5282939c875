"""A request to an API server, not sent yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts.rbac import Request


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the API: HTTP method and path, and the same in RBAC's words."""

    method: str
    path: str
    request: Request
    query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    content_type: str = "application/json"
    audit_id: str | None = None
