"""Rules for actors that are known to change permissions as their daily work: release tools, operators, add-on managers.

A rule is anchored at both ends and never so wide that it fits people or accounts nobody thought of. The presets are
offered to administrators, who adapt them and switch them on; none applies by itself.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alerts.audit import pattern

_LONGEST = 500
# Whom a rule that fits them would excuse with all others of their sort.
_NOBODYS = (
    ("system:anonymous", "everybody without log-in"),
    ("system:unauthenticated", "everybody without log-in"),
    ("system:admin", "whoever holds the cluster's break-glass credential"),
    ("kubernetes-admin", "whoever holds the cluster's break-glass credential"),
    ("system:serviceaccount:any-namespace:any-account", "every service account there is"),
    ("system:serviceaccount:any-namespace:default", "the default service account of every namespace"),
    ("system:node:any-node", "every node"),
)
_SHORTEST_START = 3


@dataclass(frozen=True, slots=True)
class ActorRule:
    """Whom it fits: a user name, and optionally the client and the networks that the request must come from.

    In a user name `*` stops at `:`, `@` and `/`. Without networks, or with client "", any will do.
    """

    username: str
    client: str = ""
    networks: tuple[str, ...] = ()

    def fits(self, *, username: str, client: str, addresses: Sequence[str]) -> bool:
        """Tell whether a request by that user, with that client, over those addresses is this actor's."""
        return (
            pattern.matches(self.username, username, within=pattern.NAME_PARTS)
            and (not self.client or pattern.matches(self.client, client))
            and (not self.networks or pattern.within_networks(addresses, self.networks))
        )

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with it, as pairs of a field's name and a sentence."""
        start = self.username.partition("*")[0]
        if not pattern.is_exact(self.username) and len(start) < _SHORTEST_START:
            yield "username", f"A user name must begin with at least {_SHORTEST_START} characters before the first *."
        for name, whom in _NOBODYS:
            if pattern.matches(self.username, name, within=pattern.NAME_PARTS):
                yield "username", f"This would fit {name}: {whom}. Name one actor."
                break
        if self.client and not self.client.strip("* /"):
            yield "client", "Say which client, or leave it empty for any."
        for field in ("username", "client"):
            if len(getattr(self, field)) > _LONGEST:
                yield field, f"At most {_LONGEST} characters."
        for network in self.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                yield "networks", f"{network} is no network such as 10.20.0.0/16 or 192.0.2.7/32."


@dataclass(frozen=True, slots=True)
class Preset:
    """A rule to start from. Where a cluster must be looked at first, `ask` says for what."""

    key: str
    name: str
    rule: ActorRule
    ask: str = ""


_ACCOUNT = "system:serviceaccount"
# Names as the projects ship them, and as Falco, Panther and Elastic except them from their rules.
PRESETS = (
    Preset("helm", "Helm", ActorRule("", "Helm/3.*"), "Enter the user your pipeline releases as, and its network."),
    Preset(
        "argo-cd",
        "Argo CD",
        ActorRule(f"{_ACCOUNT}:argocd:argocd-application-controller", "argocd-application-controller*"),
        "Check the namespace Argo CD runs in.",
    ),
    Preset(
        "flux-kustomize",
        "Flux, Kustomize",
        ActorRule(f"{_ACCOUNT}:flux-system:kustomize-controller", "kustomize-controller*"),
    ),
    Preset("flux-helm", "Flux, Helm", ActorRule(f"{_ACCOUNT}:flux-system:helm-controller", "helm-controller*")),
    Preset(
        "olm",
        "Operator Lifecycle Manager",
        ActorRule(f"{_ACCOUNT}:olm:olm-operator-serviceaccount"),
        "On OpenShift the namespace is openshift-operator-lifecycle-manager.",
    ),
    Preset("eks", "EKS add-on manager", ActorRule("eks:addon-manager")),
    Preset(
        "gke",
        "GKE add-on manager",
        ActorRule("service-*@container-engine-robot.iam.gserviceaccount.com"),
        "Put your project's number in the place of the *.",
    ),
    Preset("aks", "AKS", ActorRule("aksService")),
    Preset("addon-manager", "Kubernetes add-on manager", ActorRule("system:addon-manager")),
)
