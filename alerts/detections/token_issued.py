"""Somebody had a token made for another's service account: by TokenRequest, or by a Secret of the old kind.

Such a token cannot be recalled. Kubelets ask for the tokens of the pods they run, controllers for their own: that is
how a cluster works, and no finding. A Secret of the old kind is seen only where the log holds the bodies of Secrets,
which it should not: at level Metadata nothing tells it from any other Secret, but that the token controller of
kube-controller-manager updates it a moment later, and that does not say whose token it holds.
ATT&CK: T1528, Steal Application Access Token; T1552.007, Container API.
"""

import json
from collections.abc import Iterator

from alerts.audit.event import FINAL_STAGES, Event, metadata_of
from alerts.detections.detection import Finding, Known
from alerts.detections.identity import Identity, is_node
from alerts.detections.writes import CONTROLLER_MANAGER, created, day_of, doubt, from_loopback
from alerts.rbac import Subject, default_roles
from alerts.rbac.subjects import MASTERS

NAME = "token_issued"
TECHNIQUES = ("T1528", "T1552.007")
_SECRET_TYPE, _SECRET_OF = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"
# Controllers whose accounts have no ClusterRole of their own name (rbac/bootstrappolicy/namespace_policy.go).
_CONTROLLERS = frozenset({"bootstrap-signer", "token-cleaner", "cloud-provider", "resourceclaim-controller"})
# For clusters from before 1.24, where every account got such a secret.
_MAKERS_OF_SECRETS = frozenset(
    {
        CONTROLLER_MANAGER,
        "system:serviceaccount:kube-system:tokens-controller",
        "system:serviceaccount:kube-system:token-controller",
    }
)


def examine(event: Event, _known: Known) -> Iterator[Finding]:
    """Yield a finding where a token was made for another's account, or may have been. One actor's of a day are one."""
    holder = identity(event)
    if holder is None or event.stage not in FINAL_STAGES or event.dry_run or _ordinary(event, holder):
        return
    done, uncertain = created(event), event.succeeded is None
    if not (done or uncertain or event.code == 403):
        return
    by = event.impersonated_user.username if event.impersonated_user else ""
    whose = f"{holder.subject.namespace}/{holder.subject.name}"
    cause = ["uncertain" if uncertain else "made" if done else "attempt", event.actor, by, whose, day_of(event)]
    made = f"Token issued for service account {whose}{doubt(event)}"
    yield Finding(
        detection=NAME,
        cause=json.dumps(cause),
        title=made if done or uncertain else f"Attempt to get a token of service account {whose}",
        event=event,
        namespace=holder.subject.namespace,
        name=holder.subject.name,
        attempted=event.code == 403,
        repetitive=event.code == 403,
    )


def identity(event: Event) -> Identity | None:
    """Return the service account that a request for a token is about, None for any other request."""
    if event.group:
        return None
    if (event.resource, event.subresource, event.verb) == ("serviceaccounts", "token", "create"):
        return Identity(Subject("ServiceAccount", event.name, event.namespace))
    if (event.resource, event.subresource) == ("secrets", "") and event.verb in {"create", "update", "patch"}:
        name = _account_of(event)
        return Identity(Subject("ServiceAccount", name, event.namespace)) if name else None
    return None


def _account_of(event: Event) -> str:
    """Return whose token a secret is to hold, "" where it is another secret or was not recorded."""
    for manifest in (event.request, event.response):
        if isinstance(manifest, dict) and manifest.get("type") == _SECRET_TYPE:
            annotations = metadata_of(manifest).get("annotations")
            name = annotations.get(_SECRET_OF) if isinstance(annotations, dict) else None
            if isinstance(name, str) and name:
                return name
    return ""


def _ordinary(event: Event, holder: Identity) -> bool:
    """Tell whether it is how a cluster works: a kubelet, the controller manager for its own, an account for itself."""
    person = event.impersonated_user or event.user
    if person.username == holder.subject.username:
        return True
    if event.impersonated_user is not None:
        return False
    if event.resource == "secrets":
        return event.actor in _MAKERS_OF_SECRETS
    return is_node(event) or _is_controller_manager(event, holder)


def _is_controller_manager(event: Event, holder: Identity) -> bool:
    """Tell whether the controller manager asks for the accounts of its own controllers, as it does at its start.

    It may run as a member of system:masters beside the API server. Who is that can do everything, and needs no token.
    """
    masters = MASTERS in (event.user.groups or ()) and from_loopback(event)
    own = f"system:controller:{holder.subject.name}" in default_roles() or holder.subject.name in _CONTROLLERS
    return holder.subject.namespace == "kube-system" and own and (masters or event.actor == CONTROLLER_MANAGER)
