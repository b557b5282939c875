"""How fast audit events are taken in, next to what others take only to parse them: `python -m benchmarks.intake`.

The corpus is benchmarks.corpus. Readers and stages without a database are measured in CPU time on one core, in turns
and the best of some rounds, since other programs may run beside; the worker and the hook by the clock. Peers that are
not installed are brought into an environment that is thrown away (--offline leaves them out).
"""

import http.client
import itertools
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import corpus, installation
from benchmarks.installation import ROOT

ROUNDS = 4
TURNS = 4
PEERS = {"orjson": "orjson", "simdjson": "pysimdjson"}
CLIENTS = 4
LATENCY_SAMPLES = 10
HISTORY, ROLLOUT = 40_000, 60
# What the hook is to take, by more connections than it has workers
OFFERED_EVENTS, CONNECTIONS = 80_000, 8
# What a person would do with such a log to find who wrote roles and bindings
_JQ = '.items[] | select(.objectRef.apiGroup == "rbac.authorization.k8s.io" and .verb != "get") | .auditID'

_EVERYTHING, _READ = "ours: decode everything", "ours: read, examine, index"


def line(what: str, events: int, size: int, seconds: float, remark: str = "") -> str:
    """Return a line of the report."""
    return f"{what:34} {events / seconds:11,.0f} events/s {size / seconds / 1e6:8,.0f} MB/s  {remark}"


def best(work: Callable[[bytes], object], bodies: list[bytes]) -> float:
    """Return the least seconds of CPU that it took to do something with every body, one after the other."""
    found = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for body in bodies:
            work(body)
        found = min(found, time.process_time() - start)
    return found


@contextmanager
def peers(bodies: list[bytes], *, offline: bool) -> Iterator[Callable[[], dict[str, float | None]]]:
    """Give a function that returns the seconds which others take, None for those that are not there."""
    with tempfile.TemporaryDirectory(prefix="rolecall-peers-") as directory:
        file = Path(directory, "bodies.jsonl")
        file.write_bytes(b"\n".join(body.strip() for body in bodies))
        python = None if offline else _environment(Path(directory, "environment"))

        def measured() -> dict[str, float | None]:
            found: dict[str, float | None] = {"json.loads": _seconds(sys.executable, file, "json")}
            found |= {name: _seconds(python, file, name) if python else None for name in PEERS}
            return found | {"jq": _jq(file) if shutil.which("jq") else None}

        yield measured


def _seconds(python: str, file: Path, name: str) -> float | None:
    command = [python, str(Path(__file__).with_name("peers.py")), str(file), name]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(ended.stdout) if ended.returncode == 0 else None


def _environment(path: Path) -> str | None:
    """Make an environment with the peers, and return its Python; None where that cannot be done."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    python = str(path / "bin" / "python")
    make = [uv, "venv", "--quiet", "--python", sys.executable, str(path)]
    bring = [uv, "pip", "install", "--quiet", "--python", python, *PEERS.values()]
    try:
        for command in (make, bring):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return python


def _jq(file: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["jq", "-r", _JQ, str(file)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def reading(bodies: list[bytes], *, offline: bool) -> None:
    """Measure decoding and examining on one core beside the peers, and say whether the aims are reached."""
    with installation.directory() as path:
        installation.settle_in(path)
        from alerts.audit.decode import decode

        events, size = sum(len(decode(body).events) for body in bodies), sum(map(len, bodies))
        print(f"{events:,} events in {len(bodies):,} bodies, {size / events:,.0f} bytes each")
        found: dict[str, list[float | None]] = {}
        with peers(bodies, offline=offline) as theirs:
            # In turns, since what else runs on the machine slows now one, now another.
            for _ in range(TURNS):
                ours = {_EVERYTHING: best(decode, bodies), _READ: best(_examine, bodies)}
                for name, seconds in (theirs() | ours).items():
                    found.setdefault(name, []).append(seconds)
        least = {name: min(filter(None, taken), default=None) for name, taken in found.items()}
        read = least.pop(_READ) or 0.0
        for name, seconds in least.items():
            print(line(name, events, size, seconds) if seconds else f"{name:34} not installed")
        times = [f"{seconds / read:.1f} × {name}" for name, seconds in least.items() if seconds and name != _EVERYTHING]
        print(line(_READ, events, size, read, ", ".join(times)))


def _examine(body: bytes) -> None:
    """Do what the worker does before it asks the database: read the batch as it does, and look at what may matter."""
    from alerts import detections
    from alerts.detections import audit_data_damaged
    from alerts.services.reading import read

    now = datetime.now(UTC)
    for event in read(body).decoded.events:
        list(detections.examine(event))
        list(audit_data_damaged.examine(event, now))


def worker(bodies: list[bytes], batch: int, *, postgres: bool) -> None:
    """Measure the whole worker: claim, decode, examine, and one transaction for everything that a batch causes."""
    with installation.directory() as path:
        installation.begin(path, postgres=postgres)
        from alerts.models import Alert, AuditEvent, Batch, Cluster
        from alerts.services import inbox, intake
        from triage.celery import app, settle

        # What a worker's process does before it begins
        app.loader.import_default_modules()
        settle()
        cluster = Cluster.objects.create(name="benchmark")
        for body in bodies:
            inbox.store(cluster, body)
        start, cpu = time.perf_counter(), time.process_time()
        while batches := inbox.claim(intake.AT_ONCE):
            list(intake.examine_all(batches))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        assert not Batch.objects.exclude(state=Batch.State.DONE).exists()
        events, size = len(bodies) * batch, sum(map(len, bodies))
        remark = (
            f"{events / cpu:,.0f} a CPU second; {AuditEvent.objects.count():,} kept, {Alert.objects.count():,} alerts"
        )
        print(line(f"ours: worker, {'PostgreSQL' if postgres else 'SQLite'}", events, size, seconds, remark))


def hook(bodies: list[bytes], batch: int, *, postgres: bool) -> None:
    """Measure the hook by HTTP with two web workers: as fast as some clients can, and at the rate it is to take."""
    with installation.directory() as path:
        programs = installation.begin(path, postgres=postgres)
        token = installation.enrol()
        port = installation.free_port()
        programs += [installation.valkey(), installation.web(port)]
        for program in programs:
            program.keep()
        installation.wait_for(lambda: installation.listening(port))
        for body in bodies[:CLIENTS]:
            _post(http.client.HTTPConnection("127.0.0.1", port), token, body)
        database = "PostgreSQL" if postgres else "SQLite"
        # The same once more with a space at the end is new to the hook, which looks at nothing else.
        offered = [body + b" " for body in bodies]
        for name, posted, clients, rate in (
            (f"ours: hook, {CLIENTS} clients, {database}", bodies[CLIENTS:], CLIENTS, 0),
            (f"ours: hook, {OFFERED_EVENTS:,}/s, {database}", offered, CONNECTIONS, OFFERED_EVENTS),
        ):
            cpu = time.process_time()
            seconds, waited = _posted(posted, port, token, clients, rate / batch)
            cpu = (time.process_time() - cpu) / len(posted)
            p99 = sorted(waited)[int(len(waited) * 0.99)]
            remark = f"p99 {p99 * 1000:.0f} ms; the client takes {cpu * 1000:.1f} ms of CPU a post"
            print(line(name, len(posted) * batch, sum(map(len, posted)), seconds, remark))


def _posted(bodies: list[bytes], port: int, token: str, count: int, rate: float) -> tuple[float, list[float]]:
    """Post everything by so many clients; return the seconds that took, and those that each answer took.

    At a rate, so many are due each second, answered or not, and each is waited for from when it was due; without one,
    each client posts when its last was answered.
    """
    rest, waited = iter(enumerate(bodies)), list[float]()
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            with lock:
                number, body = next(rest, (0, None))
            if body is None:
                return
            due = start + number / rate if rate else time.perf_counter()
            time.sleep(max(0.0, due - time.perf_counter()))
            _post(connection, token, body)
            waited.append(time.perf_counter() - due)

    clients = [threading.Thread(target=work) for _ in range(count)]
    start = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return time.perf_counter() - start, waited


def _post(connection: http.client.HTTPConnection, token: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/hook/benchmark", body, headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status


def latency(bodies: list[bytes], batch: int) -> None:
    """Measure how soon after its batch was posted an alert is there: with an idle worker, and with one that is busy.

    Busy, that is with a history of HISTORY events to look through for ROLLOUT other alerts that were just opened.
    """
    with installation.directory() as path:
        installation.settle_in(path)
        from alerts.models import Alert, Batch
        from benchmarks.kill9 import CREATES, body

        token = installation.enrol()
        port = installation.free_port()
        for program in (installation.valkey(), installation.web(port), installation.worker()):
            program.keep()
        installation.wait_for(lambda: installation.listening(port))
        connection = http.client.HTTPConnection("127.0.0.1", port)
        numbers = itertools.count(step=CREATES)

        def shown_after() -> float:
            time.sleep(0.3)
            start, number = time.perf_counter(), next(numbers)
            _post(connection, token, body(number))
            while not Alert.objects.filter(object__name=f"role-{number}").exists():
                time.sleep(0.005)
            return time.perf_counter() - start

        # At the first, the worker is still starting.
        _, *idle = [shown_after() for _ in range(LATENCY_SAMPLES + 1)]
        for each in bodies[: HISTORY // batch]:
            _post(connection, token, each)
        installation.wait_for(lambda: not Batch.objects.exclude(state=Batch.State.DONE).exists())
        opened = Alert.objects.count()
        for number in itertools.islice(numbers, ROLLOUT):
            _post(connection, token, body(number))
        installation.wait_for(lambda: Alert.objects.count() == opened + ROLLOUT)
        busy = [shown_after() for _ in range(LATENCY_SAMPLES)]
        left = Alert.objects.filter(evidence_at=None).count()
        for state, waited, remark in (("idle", idle, ""), ("busy", busy, f"; {left} alerts to investigate are left")):
            worst = f"{max(waited) * 1000:7,.0f} ms at worst of {LATENCY_SAMPLES}{remark}"
            print(f"{f'an alert is there, {state} worker':34} {worst}")


STAGES: dict[str, Callable[[list[bytes], int], None]] = {
    "worker-sqlite": partial(worker, postgres=False),
    "worker-postgresql": partial(worker, postgres=True),
    "hook-sqlite": partial(hook, postgres=False),
    "hook-postgresql": partial(hook, postgres=True),
    "latency": latency,
}


def main() -> None:
    """Measure everything, each stage with a database in a process of its own, and print a line for each."""
    parser = ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--events", type=int, default=100_000, help="how many events (default: 100,000)")
    parser.add_argument(
        "--rbac", type=int, default=corpus.RBAC, help="how many of a thousand write roles and bindings (default: 10)"
    )
    parser.add_argument(
        "--batch", type=int, default=corpus.BATCH, help=f"how many events to a body (default: {corpus.BATCH})"
    )
    parser.add_argument("--offline", action="store_true", help="leave out the peers that are not installed")
    parser.add_argument("--stage", choices=["reading", *STAGES], help="measure this alone")
    options = parser.parse_args()
    bodies = corpus.bodies(options.events, rbac=options.rbac, batch=options.batch)
    try:
        if options.stage in STAGES:
            STAGES[options.stage](bodies, options.batch)
            return
        reading(bodies, offline=options.offline)
    except installation.NotThere as problem:
        sys.exit(str(problem))
    if not options.stage:
        for stage in STAGES:
            corpora = [f"--events={options.events}", f"--rbac={options.rbac}", f"--batch={options.batch}"]
            subprocess.run([sys.executable, "-m", "benchmarks.intake", *corpora, "--stage", stage], check=False)


if __name__ == "__main__":
    main()
