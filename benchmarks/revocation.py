"""How long a revoke takes from the click to the proof: `python -m benchmarks.revocation`.

A role with ten bindings on a practice cluster over real HTTP, and on a real control plane where its binaries are there.
The click is the request that the page sends; the worker runs in this process, without a grace and without a broker.
"""

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

LIMIT = 2.0
BINDINGS = 10
RUNS = 5
RBAC = "rbac.authorization.k8s.io"

type Reached = tuple[str, str, str]


def main() -> int:
    """Print a line for each cluster; return 1 where the limit was broken."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "static").mkdir()
        os.environ |= {"DJANGO_SETTINGS_MODULE": "triage.settings", "DATA_DIR": folder, "REVOKE_GRACE_SECONDS": "0"}
        os.environ |= {"DATABASE_URL": f"sqlite:///{folder}/benchmark.sqlite3", "LOG_LEVEL": "ERROR"}
        _prepare()
        return max(_line(name, opened) for name, opened in (("practice cluster", _practice), ("control plane", _real)))


def _prepare() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)


def _line(name: str, opened: Callable[[], AbstractContextManager[Reached]]) -> int:
    from tests.cluster.control_plane.binaries import BinariesMissing

    try:
        with opened() as reached:
            seconds = sorted(_revoked(*reached) for _ in range(RUNS))
    except BinariesMissing as missing:
        print(f"{name:18} not measured: {missing}")
        return 0
    kept = seconds[-1] <= LIMIT
    print(
        f"{name:18} {BINDINGS} bindings, click to proven gone: median {seconds[RUNS // 2]:.2f} s, slowest "
        f"{seconds[-1]:.2f} s of {LIMIT:.0f} s {'kept' if kept else 'BROKEN'}"
    )
    return 0 if kept else 1


@contextmanager
def _practice() -> Iterator[Reached]:
    from alerts.cluster.practice import server

    with server.running() as running:
        yield running.address, "", running.admin_token


@contextmanager
def _real() -> Iterator[Reached]:
    from tests.cluster.control_plane import plane

    with plane.start(users={}) as running:
        yield running.address, running.certificate_authority, running.tokens["admin"]


def _revoked(address: str, authority: str, token: str) -> float:
    """Make a role with its bindings, plan, and return the seconds from the click to the end of its proof."""
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    from alerts import tasks
    from alerts.cluster.api import ClusterAPI
    from alerts.models import Cluster, Revocation
    from alerts.services import revocation
    from tests.factories import make_alert

    name = f"benchmark-{secrets.token_hex(4)}"
    with ClusterAPI(address, token, authority, private_address_allowed=True) as api:
        uid = _role_with_bindings(api, name)
    cluster = Cluster(name=name, api_address=address, certificate_authority=authority)
    cluster.readable = cluster.revocable = cluster.private_address_allowed = True
    cluster.set_api_token(token)
    cluster.save()
    planned = revocation.plan(make_alert(cluster, name, object_uid=uid))
    client = Client()
    client.force_login(User.objects.create_superuser(name))
    session = client.session
    session["password_proved_at"] = planned.planned_at.isoformat()
    session.save()
    address, form = reverse("alerts:revoke", args=[planned.alert_id]), {"digest": planned.digest, "reason": "Benchmark"}
    with mock.patch.object(tasks, "wake", side_effect=lambda task, *args, **_: task(*args)):
        begun = time.perf_counter()
        client.post(address, form)
        seconds = time.perf_counter() - begun
    planned.refresh_from_db()
    assert planned.state == Revocation.State.DONE, (planned.state, planned.error)
    assert len(planned.results) == BINDINGS + 1
    return seconds


def _role_with_bindings(api: Any, name: str) -> str:
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]
    role = api.create({"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
    for number in range(BINDINGS):
        metadata: dict[str, Any] = {"name": f"{name}-{number}"}
        kind = "ClusterRoleBinding" if number % 2 else "RoleBinding"
        if kind == "RoleBinding":
            metadata["namespace"] = "default"
        binding: dict[str, Any] = {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata}
        binding["roleRef"] = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
        binding["subjects"] = [{"apiGroup": RBAC, "kind": "User", "name": f"{name}-{number}"}]
        api.create(binding)
    uid: str = role["metadata"]["uid"]
    return uid


if __name__ == "__main__":
    sys.exit(main())
