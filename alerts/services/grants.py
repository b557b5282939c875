"""Who is given what by roles and bindings, version by version: who held a role, and whom a change gives more."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db.models import Q, QuerySet

from alerts import rbac
from alerts.models import AccessObject, AccessVersion, Watch

BINDING_KINDS = (AccessObject.Kind.CLUSTER_ROLE_BINDING, AccessObject.Kind.ROLE_BINDING)
_WIDER = frozenset({rbac.Verdict.NEW_ACCESS, rbac.Verdict.MIXED, rbac.Verdict.UNKNOWN})


def bindings_to(role: AccessObject) -> list[AccessObject]:
    """Return the bindings that refer, or last referred, to a role."""
    candidates = AccessObject.objects.filter(cluster_id=role.cluster_id, kind__in=BINDING_KINDS)
    if role.kind == AccessObject.Kind.ROLE:
        candidates = candidates.filter(namespace=role.namespace)
    referring = candidates.filter(
        versions__manifest__roleRef__kind=role.kind, versions__manifest__roleRef__name=role.name
    )
    return list(referring.distinct().order_by("kind", "namespace", "name"))


def holders(role: AccessObject, *, since: datetime) -> list[rbac.Subject]:
    """Return who held a role at some time since then, or holds it: users, groups and accounts, in order."""
    found: set[rbac.Subject] = set()
    for binding in bindings_to(role):
        for version in _known(binding).order_by("-at", "-pk"):
            found |= _subjects(version, role)
            if version.at < since:
                break
    return sorted(found)


def gained(version: AccessVersion | None, watches: Iterable[Watch]) -> frozenset[int]:
    """Return the keys of the watches whose subject is given something by a new version of a role or binding.

    A subject counts by itself and by the groups it is in without being told. What nobody recorded gives nothing.
    """
    waiting = [each for each in watches if version is not None and version.at > each.since]
    if version is None or version.deletion or version.manifest is None or not waiting:
        return frozenset()
    given = _given(version)
    return frozenset(
        each.pk
        for each in waiting
        if not _identities(rbac.Subject(each.kind, each.name, each.namespace)).isdisjoint(given)
    )


def _given(version: AccessVersion) -> set[rbac.Subject]:
    """Return whom a version gives what the version before it did not."""
    before = _known(version.object).exclude(pk=version.pk).filter(at__lte=version.at).order_by("-at", "-pk").first()
    if version.object.kind in BINDING_KINDS:
        return _subjects(version) - (_subjects(before) if before else set())
    if not _is_wider(before, version):
        return set()
    standing = (_known(binding).order_by("-at", "-pk").first() for binding in bindings_to(version.object))
    return {subject for binding in standing if binding for subject in _subjects(binding, version.object)}


def _is_wider(before: AccessVersion | None, after: AccessVersion) -> bool:
    """Tell whether a role permits something that it did not before; where that cannot be told, it may."""
    old = before.manifest.get("rules") if before and before.manifest else None
    try:
        return rbac.compare(old, (after.manifest or {}).get("rules")).verdict in _WIDER
    except rbac.InvalidRules:
        return False


def _known(named: AccessObject) -> QuerySet[AccessVersion]:
    """Return the versions that say what an object was, deletions among them."""
    return named.versions.filter(Q(deletion=True) | Q(manifest__isnull=False))


def _subjects(version: AccessVersion, role: AccessObject | None = None) -> set[rbac.Subject]:
    """Return whom a version of a binding gives its role, or that one role: nobody where it is gone or unreadable."""
    return {
        subject for binding in _binding(version) if role is None or _is(binding, role) for subject in binding.subjects
    }


def _is(binding: rbac.Binding, role: AccessObject) -> bool:
    return binding.role == rbac.RoleRef(role.kind, role.name, role.namespace)


def _binding(version: AccessVersion) -> Iterator[rbac.Binding]:
    if version.deletion or version.manifest is None:
        return
    try:
        yield rbac.Binding.of_manifest(version.manifest)
    except rbac.InvalidRules:
        return


def _identities(subject: rbac.Subject) -> set[rbac.Subject]:
    return {subject, *(rbac.Subject("Group", group) for group in subject.implicit_groups)}
