"""Capabilities that lie in how a role is bound and not in its rules: rows 36 to 41 of the catalogue."""

from collections.abc import Iterator

from alerts.rbac.access import Access
from alerts.rbac.capability import Held
from alerts.rbac.catalogue import BY_ID
from alerts.rbac.comparison import compare
from alerts.rbac.defaults import default_roles
from alerts.rbac.objects import RoleRef
from alerts.rbac.subjects import MASTERS

PRIZES = frozenset({"cluster-admin", "admin", "edit"})


def conditions(access: Access, ref: RoleRef) -> tuple[Held, ...]:
    """Return what is remarkable about a role apart from its rules, worst first.

    That somebody without log-in or everybody holds it, that system:masters does, that it is one of the usual prizes,
    that a default role differs from how Kubernetes ships it, and that a binding waits for it while it is missing or
    empty.
    """
    return tuple(sorted(_found(access, ref), key=lambda one: (-one.base, one.capability.number)))


def _found(access: Access, ref: RoleRef) -> Iterator[Held]:
    holders = access.holders(ref)
    subjects = {holder.subject: holder for holder in holders}
    for key, chosen in (
        ("public", [subject for subject in subjects if subject.public]),
        ("everyone", [subject for subject in subjects if subject.everybody]),
        ("masters", [subject for subject in subjects if subject.kind == "Group" and subject.name == MASTERS]),
    ):
        if chosen:
            note = ", ".join(f"{subject} through {subjects[subject].binding}" for subject in sorted(chosen))
            yield Held(BY_ID[key], BY_ID[key].base, note=note)
    bindings = access.bindings_of(ref)
    if ref.kind == "ClusterRole" and ref.name in PRIZES and bindings:
        yield Held(BY_ID["bound-default"], BY_ID["bound-default"].base, note=", ".join(map(str, bindings)))
    yield from _changed_default(access, ref)
    if bindings and not access.rules(ref):
        state = "is still empty" if ref in access.roles else "does not exist"
        yield Held(BY_ID["dangling"], BY_ID["dangling"].base, note=f"{bindings[0]} refers to it, and it {state}")


def _changed_default(access: Access, ref: RoleRef) -> Iterator[Held]:
    shipped = default_roles().get(ref.name) if ref.kind == "ClusterRole" else None
    role = access.roles.get(ref)
    if shipped is None or role is None or shipped.selectors is not None:
        return
    extra = compare(shipped.rules, role.rules).gains
    if extra:
        note = "; ".join(part.text for part in extra[:3])
        yield Held(BY_ID["default-changed"], BY_ID["default-changed"].base, note=f"also permits {note}")
