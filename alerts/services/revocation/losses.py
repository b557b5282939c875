"""Who loses what when a plan is run, exactly: what each holder may do now and may not do afterwards."""

from collections.abc import Sequence
from typing import Any

import msgspec

from alerts import rbac
from alerts.audit.visible import storable
from alerts.services.revocation.targets import Surroundings, Target

_SHOWN = 8
_SUPERUSERS = rbac.Subject("Group", "system:masters")
# What every account holds (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go)
COMMON = frozenset({"system:basic-user", "system:discovery", "system:public-info-viewer"}) | {
    "system:service-account-issuer-discovery"
}
SUPERUSER = "stays a superuser: system:masters does not depend on RBAC."
TELLING = (
    rbac.Request("list", resource="secrets"),
    rbac.Request("create", resource="pods"),
    rbac.Request("list", resource="pods"),
    rbac.Request("list", resource="configmaps"),
)


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What one holder loses.

    `scope` is the namespace in which it counts, "" for everywhere; `parts` says in words what goes, `more` how many
    parts are not listed; `keeps` whether bindings of its own remain; `note` is what to say instead of the parts.
    `example` is a request that is allowed now and will not be, None where nothing is lost.
    """

    subject: str
    scope: str
    username: str = ""
    groups: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    more: int = 0
    keeps: bool = False
    example: rbac.Request | None = None
    note: str = ""


class Change:
    """The cluster's permissions before and after a plan.

    Raises InvalidRules for manifests that no API server would serve.
    """

    def __init__(self, found: Surroundings, targets: Sequence[Target]) -> None:
        self.found, self.targets = found, targets
        contents: list[dict[str, Any]] = [target.content for target in targets]
        self.bindings = [rbac.Binding.of_manifest(each) for each in contents if "roleRef" in each]
        self.roles = [rbac.Role.of_manifest(each).ref for each in contents if "roleRef" not in each]
        self.unlabelled = [_without_labels(target) for target in targets if target.action == "unlabel"]
        self.before = rbac.Access.of_manifests(found.manifests)
        kept = {role.ref for role in self.unlabelled}
        self.after = self.before.with_(*self.unlabelled).without(
            *(ref for ref in self.roles if ref not in kept), *self.bindings
        )

    def holders(self) -> list[tuple[rbac.Subject, str]]:
        """Return everybody concerned, each with the namespace in which they are ("" for everywhere)."""
        kept = {role.ref for role in self.unlabelled}
        through_roles = (
            (held.subject, held.scope)
            for ref in self.roles
            for held in self.before.holders(ref)
            if held.through or ref not in kept  # who holds it by its own bindings keeps it
        )
        through_bindings = ((subject, each.namespace) for each in self.bindings for subject in each.subjects)
        return list(dict.fromkeys((*through_roles, *through_bindings)))

    def feeds(self) -> list[rbac.RoleRef]:
        """Return the aggregated roles that lose rules with the plan's own."""
        return [target for ref in self.roles for target in self.before.aggregates(ref)]

    def losses(self) -> list[Loss]:
        """Return what each holder loses."""
        return [self._loss(subject, scope) for subject, scope in self.holders()]

    def _loss(self, subject: rbac.Subject, scope: str) -> Loss:
        nothing = Loss(subject=storable(str(subject)), scope=storable(scope))
        if subject == _SUPERUSERS:
            return msgspec.structs.replace(nothing, keeps=True, note=SUPERUSER)
        before, after = self.before.effective(subject, scope), self.after.effective(subject, scope)
        shown = rbac.compare(_beyond_common(after), before.rules)
        parts = [storable(part.text) for part in shown.gains] if rbac.compare(after.rules, before.rules).gains else []
        own = (
            source
            for effective in self.after.what_can(subject).values()
            for source in effective.sources
            if subject in source.binding.subjects
        )
        return msgspec.structs.replace(
            nothing,
            username=storable(subject.username),
            groups=tuple(map(storable, subject.implicit_groups)),
            parts=tuple(parts[:_SHOWN]),
            more=max(0, len(parts) - _SHOWN),
            keeps=any(own),
            example=_example(before, after),
            note=f"loses what cannot be listed: {shown.cut_off}" if shown.cut_off else "",
        )


def _without_labels(target: Target) -> rbac.Role:
    content = target.content
    labels = content["metadata"].get("labels") or {}
    left = {key: value for key, value in labels.items() if key not in target.merge["metadata"]["labels"]}
    return rbac.Role.of_manifest(content | {"metadata": content["metadata"] | {"labels": left}})


def _beyond_common(effective: rbac.Effective) -> rbac.RuleSet:
    """Return the rules without what Kubernetes gives to everybody, which would only blur the list of what goes."""
    return rbac.RuleSet(tuple(each.rule for each in effective.sources if each.binding.role.name not in COMMON))


def _example(before: rbac.Effective, after: rbac.Effective) -> rbac.Request | None:
    """Return a request that is allowed before and not afterwards, a telling one if there is one."""

    def lost(request: rbac.Request) -> bool:
        return before.allowing(request) is not None and after.allowing(request) is None

    telling = (msgspec.structs.replace(request, namespace=before.scope) for request in TELLING)
    found = next(filter(lost, telling), None)
    if found is None:
        gains = rbac.compare(after.rules, before.rules).gains
        # A RoleBinding gives no URLs.
        examples = (
            msgspec.structs.replace(each.example, namespace=before.scope)
            for each in gains
            if not before.scope or each.example.path is None
        )
        found = next(filter(lost, examples), None)
    # One that could not be stored as it is would prove something else.
    return found if found and all(storable(each) == each for each in msgspec.structs.astuple(found) if each) else None
