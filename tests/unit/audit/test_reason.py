from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.audit.decode import decode
from alerts.audit.reason import Grant
from tests.conftest import RECORDINGS


def quoted(text: str) -> str:
    """Quote like Go's %q, as far as names need it: quotes, backslashes, and what is not printable ASCII."""
    plain = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\a": "\\a"}
    shown = [
        plain.get(char)
        or (char if " " <= char <= "~" else f"\\U{ord(char):08x}" if ord(char) > 0x7F else f"\\x{ord(char):02x}")
        for char in text
    ]
    return f'"{"".join(shown)}"'


def test_a_cluster_role_binding_allowed_a_user() -> None:
    reason = (
        'RBAC: allowed by ClusterRoleBinding "jane-role-author" of ClusterRole "role-author" to User "jane@example.com"'
    )
    assert Grant.of(reason) == Grant(
        "ClusterRoleBinding", "", "jane-role-author", "ClusterRole", "", "role-author", "User", "", "jane@example.com"
    )


def test_a_role_binding_carries_its_namespace_and_gives_it_to_the_role() -> None:
    reason = 'RBAC: allowed by RoleBinding "b/web" of Role "r" to ServiceAccount "default/ci"'
    assert Grant.of(reason) == Grant("RoleBinding", "web", "b", "Role", "web", "r", "ServiceAccount", "ci", "default")


def test_a_cluster_role_bound_in_a_namespace_has_none() -> None:
    grant = Grant.of('RBAC: allowed by RoleBinding "b/web" of ClusterRole "view" to Group "developers"')
    assert grant is not None
    assert (grant.role_kind, grant.role_namespace) == ("ClusterRole", "")


def test_a_name_may_imitate_the_rest_of_the_sentence() -> None:
    evil = 'x" of ClusterRole "view" to User "jane'
    grant = Grant.of(f'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole {quoted(evil)} to User "mallory"')
    assert grant is not None
    assert (grant.role_name, grant.subject_name) == (evil, "mallory")


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "access granted by IAM permissions.",
        'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r" to User "x" and more',
        'RBAC: allowed by ClusterRoleBinding "b of ClusterRole "r" to User "x"',
    ],
)
def test_what_the_rbac_authorizer_did_not_say_is_no_grant(reason: str) -> None:
    assert Grant.of(reason) is None


def test_bytes_that_are_no_characters_become_replacements() -> None:
    grant = Grant.of(r'RBAC: allowed by ClusterRoleBinding "b\xff\u202e" of ClusterRole "r" to User "x"')
    assert grant is not None
    assert grant.binding_name == "b\ufffd\u202e"


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1)


@given(names, names, names, names)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_name_comes_back(binding: str, namespace: str, role: str, subject: str) -> None:
    bound = quoted(f"{binding}/{namespace}")
    reason = f"RBAC: allowed by RoleBinding {bound} of Role {quoted(role)} to User {quoted(subject)}"
    grant = Grant.of(reason)
    assert grant is not None
    assert (grant.binding_name, grant.binding_namespace, grant.role_name, grant.subject_name) == (
        binding,
        namespace,
        role,
        subject,
    )


def test_every_recorded_reason_is_understood() -> None:
    reasons: dict[str, Any] = {}
    for recording in sorted(RECORDINGS.glob("*.jsonl")):
        reasons |= {event.reason: event.allowed_by for event in decode(recording.read_bytes()).events if event.reason}
    assert len(reasons) > 5
    assert None not in reasons.values()
