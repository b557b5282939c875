"""What a large cluster costs: `python -m benchmarks.investigation`.

Roles and bindings are listed, listed again, read, and the alerts of the recorded attack on that cluster investigated.
Each line is also told in the time that `json.loads` takes for the listing, the least that anybody could do with it.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest import mock

from benchmarks import installation

NAMESPACES = 500
RBAC = "rbac.authorization.k8s.io"
_RESOURCES = ("pods", "services", "configmaps", "secrets", "deployments", "jobs", "endpoints", "events", "nodes")
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")

type Manifest = dict[str, Any]


class _Listed:
    """The API of a cluster that has these objects."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.manifests = manifests

    def list_all(self, kind: str) -> Iterator[Manifest]:
        return (manifest for manifest in self.manifests if manifest["kind"] == kind)


def main() -> None:
    """Print a line for each thing that takes long on a large cluster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roles", type=int, default=3000)
    parser.add_argument("--bindings", type=int, default=8000)
    parser.add_argument("--postgres", action="store_true", help="into PostgreSQL, not SQLite")
    options = parser.parse_args()
    manifests = list(_manifests(options.roles, options.bindings))
    texts = [json.dumps(manifest) for manifest in manifests]
    with installation.directory() as path:
        installation.begin(path, postgres=options.postgres)
        least = _seconds(lambda: [json.loads(text) for text in texts])
        print(f"{options.roles:,} roles and {options.bindings:,} bindings, {sum(map(len, texts)) / 1e6:.1f} MB")
        print(f"{'json.loads':50} {least:7.2f} s")
        for what, seconds in _measured(manifests):
            print(f"{what[:50]:50} {seconds:7.2f} s  {seconds / least:6.1f} × json.loads")


def _measured(manifests: list[Manifest]) -> Iterator[tuple[str, float]]:
    from alerts.models import Cluster
    from alerts.services import connection, inbox, intake, inventory, investigation, listing
    from tests.conftest import RECORDINGS

    cluster = Cluster.objects.create(name="large")
    with mock.patch.object(connection, "connect", return_value=nullcontext(_Listed(manifests))):
        for what in ("first listing", "listing of what is known"):
            yield what, _seconds(lambda: listing.refresh(cluster))
    for what in ("reading it", "reading it again"):
        yield what, _seconds(lambda: inventory.access(cluster))
    batch, _ = inbox.store_leased(cluster, (RECORDINGS / "clusterrole-takeover.jsonl").read_bytes())
    for alert in intake.examine(batch).opened:
        yield f"investigating {alert.title}", _seconds(partial(investigation.gather, alert))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _manifests(roles: int, bindings: int) -> Iterator[Manifest]:
    chance = random.Random(5)  # noqa: S311  (nothing secret is made of it)
    for number in range(roles):
        rules = [
            {
                "apiGroups": chance.choice([[""], ["", "apps"]]),
                "resources": chance.sample(_RESOURCES, 3),
                "verbs": chance.sample(_VERBS, 3),
            }
            for _ in range(chance.randrange(1, 6))
        ]
        yield _manifest("ClusterRole", number, "") | {"rules": rules}
    for number in range(bindings):
        namespace = f"namespace-{number % NAMESPACES}"
        account = {"kind": "ServiceAccount", "name": f"account-{number % 50}", "namespace": namespace}
        group = {"kind": "Group", "apiGroup": RBAC, "name": f"team-{number % 200}"}
        role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"clusterrole-{number % roles}"}
        yield _manifest("RoleBinding", number, namespace) | {"roleRef": role, "subjects": [account, group]}


def _manifest(kind: str, number: int, namespace: str) -> Manifest:
    metadata = {"name": f"{kind.lower()}-{number}", "uid": f"{kind}-{number}", "resourceVersion": str(number + 1)}
    return {
        "kind": kind,
        "apiVersion": f"{RBAC}/v1",
        "metadata": metadata | ({"namespace": namespace} if namespace else {}),
    }


if __name__ == "__main__":
    main()
