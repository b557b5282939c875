"""Whether anything acknowledged is ever lost, or done twice, when processes are killed: `python -m benchmarks.kill9`.

A client posts batches as API servers do, and again what was not acknowledged, while web, worker, beat, broker and (with
--postgres) the database are killed with -9, whole or one process of them. Prints counts; exit 1 where one is wrong.
"""

import contextlib
import hashlib
import http.client
import json
import random
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle

from benchmarks import installation
from benchmarks.installation import Program

CLIENTS = 4
# One batch in so many makes a cluster role, and one acknowledged in so many is posted again, as after a lost answer.
CREATES, REPEATS = 10, 20
LONGEST_DRAIN = 900.0


@dataclass
class Load:
    """What the clients have to post, and what came of it."""

    batches: int
    port: int
    path: str
    token: str
    acknowledged: dict[int, str] = field(default_factory=dict)
    posts: int = 0
    repeats: int = 0
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self) -> None:
        """Post batch after batch, each until it is acknowledged."""
        while (number := self._take()) is not None:
            content = body(number)
            while not self._post(content):
                time.sleep(0.05)
            with self._lock:
                self.acknowledged[number] = hashlib.sha256(content).hexdigest()
            if number % REPEATS == 0:
                self.repeats += self._post(content)

    def _take(self) -> int | None:
        with self._lock:
            self._next += 1
            return self._next if self._next <= self.batches else None

    def _post(self, content: bytes) -> bool:
        """Post a body, and tell whether it was acknowledged."""
        with self._lock:
            self.posts += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("POST", self.path, content, headers)
            return connection.getresponse().status == 200
        return False


def body(number: int) -> bytes:
    """Return the batch of that number: some reads, and in one of CREATES the creation of a cluster role."""
    items = [_event(number, place, "get", "pods", {"code": 200}) for place in range(4)]
    if number % CREATES == 0:
        role = {
            "kind": "ClusterRole",
            "metadata": {"name": _role(number), "uid": f"uid-{number}", "resourceVersion": "1"},
        }
        rules = [{"verbs": ["*"], "apiGroups": [""], "resources": ["secrets"]}]
        created = {"responseObject": role | {"rules": rules}, "level": "RequestResponse"}
        items.append(_event(number, 4, "create", "clusterroles", {"code": 201}) | created)
    return json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}).encode()


def _role(number: int) -> str:
    return f"role-{number}"


def _event(number: int, place: int, verb: str, resource: str, status: dict[str, int]) -> dict[str, object]:
    group = "rbac.authorization.k8s.io" if resource == "clusterroles" else ""
    at = f"2026-11-25T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.00000{place}Z"
    return {
        "level": "Metadata",
        "auditID": f"{number}-{place}",
        "stage": "ResponseComplete",
        "requestURI": f"/apis/{resource}",
        "verb": verb,
        "user": {"username": f"actor-{number}"},
        "sourceIPs": ["198.51.100.23"],
        "userAgent": "kubectl/v1.36.3",
        "objectRef": {"resource": resource, "name": _role(number), "apiGroup": group, "apiVersion": "v1"},
        "responseStatus": status,
        "requestReceivedTimestamp": at,
        "stageTimestamp": at,
    }


def kill_again_and_again(
    programs: list[Program], load: Load, kills: Counter[str], until: threading.Event, plan: list[int]
) -> None:
    """Kill one program after the other, whole or one process of it, until told to stop; start what is gone.

    `plan` says after how many acknowledged batches each is due: so there was work to cut off, however slow the machine.
    """
    chance = random.Random(len(plan))  # noqa: S311  (nothing secret is made of it)
    victims = cycle(chance.sample(programs, len(programs)))
    while not until.wait(0.02):
        for program in programs:
            program.keep()
        if plan and len(load.acknowledged) >= plan[0]:
            victim = next(victims)
            pids = victim.processes()
            installation.kill(pids if chance.random() < 0.6 else pids and [chance.choice(pids)])
            kills[victim.name] += bool(pids)
            del plan[0]


def drain(programs: list[Program], *, hurried: bool) -> float:
    """Wait until every batch was examined and every alert investigated, and return the seconds that took.

    In a hurry, leases of the dead are ended now and the sweep's wake-ups are sent at once.
    """
    from django.db import Error as DatabaseError
    from django.db import connections
    from django.utils import timezone

    from alerts import tasks
    from alerts.models import Batch

    start = time.monotonic()
    while time.monotonic() - start < LONGEST_DRAIN:
        for program in programs:
            program.keep()
        # A connection to a database that was killed since is of no use any more.
        connections.close_all()
        with contextlib.suppress(DatabaseError):
            if not _unfinished():
                break
            if hurried:
                Batch.objects.filter(state="leased").update(leased_until=timezone.now())
                tasks.wake(tasks.sweep)
        time.sleep(1)
    return time.monotonic() - start


def _unfinished() -> int:
    from alerts.models import Alert, Batch

    waiting = Batch.objects.exclude(state__in=["done", "quarantined"]).count()
    return waiting + Alert.objects.filter(evidence_at=None).count()


def findings(load: Load) -> dict[str, int]:
    """Return what may not be: how many batches are missing, were not examined, alerts are double, and so on."""
    from alerts import playbook
    from alerts.models import AccessVersion, Activity, Alert, AuditEvent, Batch, Cluster

    stored = dict(Batch.objects.values_list("sha256", "state"))
    names = Counter(Alert.objects.values_list("object__name", flat=True))
    expected = {_role(number) for number in load.acknowledged if number % CREATES == 0}
    steps = Counter(Alert.objects.values_list("steps__alert", flat=True))
    opened = Activity.objects.filter(kind="opened").count()
    return {
        "acknowledged batches missing": sum(digest not in stored for digest in load.acknowledged.values()),
        "batches not examined": sum(state != "done" for state in stored.values()),
        "batches counted wrongly": abs(Cluster.objects.get().batches_finished - len(stored)),
        "alerts missing": len(expected - names.keys()),
        "alerts double": sum(names.values()) - len(names),
        "alerts without their one opening": abs(opened - len(expected)),
        "alerts with a wrong checklist": sum(count != len(playbook.STEPS) for count in steps.values()),
        "alerts without evidence": Alert.objects.filter(evidence_at=None).count(),
        "kept events missing or double": abs(AuditEvent.objects.count() - len(expected)),
        "versions of roles missing or double": abs(AccessVersion.objects.count() - len(expected)),
        "chains of activities broken": sum(
            bool(Activity.objects.broken(each)) for each in [None, *Alert.objects.all()]
        ),
    }


def run(options: Namespace) -> int:
    """Do it all in a directory of its own, and return how many things are wrong."""
    with installation.directory() as path:
        programs = installation.begin(path, postgres=options.postgres)
        from django.urls import reverse

        token = installation.enrol()
        port = installation.free_port()
        programs += [installation.valkey(), installation.web(port), installation.worker(), installation.beat()]
        for program in programs:
            program.keep()
        installation.wait_for(lambda: installation.listening(port))
        load = Load(options.batches, port, reverse("alerts:hook", args=["benchmark"]), token)
        kills, seconds = _under_fire(load, programs, options.kills)
        drained = drain(programs, hurried=options.hurry)
        wrong = findings(load)
        print(f"{len(load.acknowledged):,} batches acknowledged in {seconds:.0f} s")
        print(f"{load.posts:,} posts, {load.repeats:,} of them again on purpose")
        print(f"{kills.total():,} kills: {', '.join(f'{name} {count}' for name, count in kills.most_common())}")
        print(f"drained after {drained:.0f} s")
        for what, count in wrong.items():
            print(f"{count:6,}  {what}")
        return sum(wrong.values())


def _under_fire(load: Load, programs: list[Program], times: int) -> tuple[Counter[str], float]:
    """Post everything while programs are killed; return how often each was, and the seconds it took."""
    kills: Counter[str] = Counter()
    over, start = threading.Event(), time.monotonic()
    plan = [load.batches * number // times for number in range(times)]
    clients = [threading.Thread(target=load.work) for _ in range(CLIENTS)]
    killer = threading.Thread(target=kill_again_and_again, args=(programs, load, kills, over, plan))
    for thread in (*clients, killer):
        thread.start()
    for thread in clients:
        thread.join()
    over.set()
    killer.join()
    return kills, time.monotonic() - start


def main() -> None:
    """Run, and exit 1 where anything is wrong."""
    parser = ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--batches", type=int, default=5_000, help="how many must be acknowledged (default: 5,000)")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL, which is killed too")
    parser.add_argument("--hurry", action="store_true", help="end the leases of dead workers instead of waiting for it")
    parser.add_argument("--kills", type=int, default=200, help="how often something is killed (default: 200)")
    try:
        sys.exit(bool(run(parser.parse_args())))
    except installation.NotThere as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
