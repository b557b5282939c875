"""A practice cluster in which the recorded attack happened, reached over a network that can fail."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
import yaml
from django.utils import timezone
from pytest_django import Settings

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import NotFound
from alerts.cluster.kinds import ObjectReference
from alerts.cluster.practice import recordings, server
from alerts.models import AccessObject, Alert, Cluster, Revocation
from alerts.services import inbox, intake, revocation
from tests import faults
from tests.factories import make_alert

type Manifest = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
ROLE = ObjectReference("ClusterRole", "", "metrics-scraper-v2")
BINDING = ObjectReference("ClusterRoleBinding", "", "metrics-scraper-v2")
RESTORER = "system:serviceaccount:rolecall:rolecall-restorer"
SCRAPER = {"kind": "ServiceAccount", "name": "metrics-scraper", "namespace": "kube-system"}


@dataclass
class Scene:
    """The cluster as its administrator sees it, and the network between it and Rolecall."""

    admin: ClusterAPI
    network: faults.Network
    events: Sequence[Manifest]
    token: str
    restorer_token: str

    def has(self, reference: ObjectReference) -> bool:
        try:
            self.admin.read(reference)
        except NotFound:
            return False
        return True

    def role(self, name: str, **parts: Any) -> Manifest:
        """Make a ClusterRole that reads secrets; `parts` add to it or to its metadata."""
        rules = parts.pop("rules", [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}])
        extra = {key: parts.pop(key) for key in ("aggregationRule",) if key in parts}
        body = {"metadata": {"name": name, **parts}, "rules": rules, **extra}
        return self.admin.create({"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", **body})

    def bind(self, role: str, name: str, *, namespace: str = "", **parts: Any) -> Manifest:
        """Bind a ClusterRole to the attack's service account, or to `subjects`."""
        subjects = parts.pop("subjects", [SCRAPER])
        metadata = {"name": name, **parts} | ({"namespace": namespace} if namespace else {})
        return self.admin.create(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [
                    each if each["kind"] == "ServiceAccount" else {"apiGroup": RBAC} | each for each in subjects
                ],
            }
        )

    def remove(self, reference: ObjectReference) -> None:
        metadata = self.admin.read(reference)["metadata"]
        self.admin.delete(reference, uid=metadata["uid"], resource_version=None)

    def touch(self, reference: ObjectReference, **labels: str) -> None:
        """Change an object that is planned, without changing what it permits."""
        self.admin.patch(reference, {"metadata": {"labels": labels or {"touched": "yes"}}})

    def forbid(self, verb: str, resource: str) -> None:
        """Take a verb on a resource from Rolecall's account."""
        for item in self.admin.list_all("ClusterRole"):
            if not item["metadata"]["name"].startswith("rolecall"):
                continue
            for rule in item["rules"]:
                if resource in rule.get("resources", ()) and verb in rule["verbs"]:
                    rule["resources"] = [each for each in rule["resources"] if each != resource]
            rules = [rule for rule in item["rules"] if rule.get("resources") != []]
            self.admin.patch(ObjectReference.of(item), {"rules": rules})


@pytest.fixture
def scene(socket_enabled: None) -> Iterator[Scene]:
    attack = [recordings.find("clusterrole-takeover")]
    with (
        server.running(replay=attack, shift_to_now=True) as practice,
        faults.network(practice.address) as network,
        ClusterAPI(practice.address, practice.admin_token, private_address_allowed=True) as admin,
    ):
        yield Scene(admin, network, practice.events, practice.token, practice.token_for(RESTORER))


@pytest.fixture
def prod(cluster: Cluster, scene: Scene) -> Cluster:
    """The cluster, connected to the practice cluster with the rights of deploy/."""
    cluster.api_address = scene.network.address
    cluster.readable = cluster.revocable = cluster.private_address_allowed = True
    cluster.set_api_token(scene.token)
    cluster.save()
    return cluster


@pytest.fixture
def restorable(prod: Cluster, scene: Scene) -> Cluster:
    """The cluster, with the account of deploy/ that may put back what was revoked."""
    for manifest in yaml.safe_load_all((Path(__file__).parents[3] / "deploy/rbac/restorer.yaml").read_text()):
        scene.admin.create(manifest)
    prod.set_restorer_token(scene.restorer_token)
    prod.save()
    return prod


@pytest.fixture
def alert(prod: Cluster, scene: Scene) -> Alert:
    """The alert on the attack's role."""
    return alert_on(prod, scene, ROLE.name)


def alert_on(cluster: Cluster, scene: Scene, name: str, **fields: Any) -> Alert:
    """Make an alert on a role that exists."""
    live = scene.admin.read(ObjectReference("ClusterRole", "", name))
    return make_alert(cluster, name, **({"object_uid": live["metadata"]["uid"]} | fields))


def alert_about(cluster: Cluster, reference: ObjectReference, **fields: Any) -> Alert:
    """Make an alert on any role or binding."""
    about = AccessObject.named(cluster, reference.kind, reference.namespace, reference.name)
    return make_alert(cluster, reference.name, object=about, **({"object_uid": ""} | fields))


@pytest.fixture
def no_grace(settings: Settings) -> None:
    settings.REVOKE_GRACE_SECONDS = 0


def hear_of_the_attack(cluster: Cluster) -> None:
    """Take in the audit events of the attack as if they came just now."""
    events = recordings.read([recordings.find("clusterrole-takeover")])
    past = timezone.now() - recordings.time_of(events[-1]["stageTimestamp"])
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": recordings.shifted(events, past)}
    batch, _ = inbox.store_leased(cluster, json.dumps(body).encode())
    assert intake.examine(batch).error == ""


def ask(planned: Revocation, by: Any, **changes: str) -> Revocation:
    """Ask for the plan that is there to be run."""
    given = {"reason": "Not authorised", "digest": planned.digest} | changes
    return revocation.request(planned, by=by, **given)


def later(**by: float) -> time_machine.travel:
    """Let time have passed."""
    return time_machine.travel(timezone.now() + timedelta(**by), tick=True)


def requests_of(scene: Scene, method: str) -> list[str]:
    return [path.rpartition("/")[2] for path in scene.network.sent(method)]


def stored_text(planned: Revocation) -> str:
    return json.dumps([planned.plan, planned.rehearsal, planned.warnings, planned.effects])
