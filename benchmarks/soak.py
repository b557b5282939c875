"""Whether memory stays flat under a steady load: `python -m benchmarks.soak`.

Posts events at a steady rate to a live installation (web, worker, beat, Valkey, a database), and prints every half
minute how much memory each program has, how many events a second came in, and how many batches wait. The first third
warms up. Exit 1 where between the other two a program's memory grew by more than ALLOWED, from median to median, or
where the backlog grew, the rate was not kept, or a post was refused.
"""

import http.client
import itertools
import re
import statistics
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import corpus, installation
from benchmarks.installation import Program

RATE = 4_000
EVERY_SECONDS = 30.0
SHORTEST = 3.0
# Of a program's memory: what a working set breathes.
ALLOWED = 0.05
_DIFFERENT = 200
_ID = re.compile(rb'"auditID":"[0-9a-f]{4}')
_THEN = re.compile(rb'"2026-11-25T00:0\d:')
# An API server posts by as many; one that waits for an answer does not keep the others.
_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """How things stood at one time: resident bytes by program, and of batches those posted and those that wait."""

    sizes: dict[str, int]
    posted: int
    waiting: int


def memory(program: Program) -> int:
    """Return the resident bytes of a program's processes, pages that they share counted once for each."""
    pages = 0
    for pid in program.processes():
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * 4096


def bodies() -> Iterator[bytes]:
    """Yield batches without end, each of them new: the same events under other audit IDs, of this minute."""
    made = corpus.bodies(_DIFFERENT * corpus.BATCH)
    for turn in itertools.count():
        for body in made:
            fresh = _ID.sub(b'"auditID":"%04x' % turn, body)
            yield _THEN.sub(b'"%b:' % f"{datetime.now(UTC):%Y-%m-%dT%H:%M}".encode(), fresh)


class Client:
    """Posts bodies by several connections at the rate until a time comes; counts what was refused."""

    def __init__(self, port: int, token: str, until: float) -> None:
        self.port, self.until = port, until
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.refused, self.waited = 0, list[float]()
        self._bodies = bodies()
        self._due = time.monotonic()
        self._turn = threading.Lock()
        self.threads = [threading.Thread(target=self._post) for _ in range(_CONNECTIONS)]

    def _next(self) -> tuple[bytes, float]:
        with self._turn:
            self._due += corpus.BATCH / RATE
            return next(self._bodies), self._due

    def _post(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while time.monotonic() < self.until:
            body, due = self._next()
            time.sleep(max(0.0, due - time.monotonic()))
            start = time.monotonic()
            connection.request("POST", "/hook/benchmark", body, self.headers)
            answer = connection.getresponse()
            answer.read()
            with self._turn:
                self.refused += answer.status != 200
                self.waited.append(time.monotonic() - start)


def run(options: Namespace) -> int:
    """Do it, print a line for every half minute, and return how many things are wrong."""
    with installation.directory() as path:
        programs = installation.begin(path, postgres=options.postgres)
        from alerts.models import Batch

        token = installation.enrol()
        port = installation.free_port()
        programs += [installation.valkey(), installation.web(port), installation.worker(), installation.beat()]
        for program in programs:
            program.keep()
        installation.wait_for(lambda: installation.listening(port))
        start = time.monotonic()
        client = Client(port, token, start + options.minutes * 60)
        looks = [Look({}, 0, 0)]
        for thread in client.threads:
            thread.start()
        for each in range(1, int(options.minutes * 60 / EVERY_SECONDS)):
            time.sleep(max(0.0, start + each * EVERY_SECONDS - time.monotonic()))
            sizes = {program.name: memory(program) for program in programs}
            looks.append(Look(sizes, Batch.objects.count(), Batch.objects.filter(state="waiting").count()))
            print(_line(each, looks[-2], looks[-1]), flush=True)
        for thread in client.threads:
            thread.join()
    return _judged(looks[1:], client)


def _line(number: int, before: Look, look: Look) -> str:
    sizes = "  ".join(f"{name} {size / 1e6:.0f} MB" for name, size in look.sizes.items())
    rate = (look.posted - before.posted) * corpus.BATCH / EVERY_SECONDS
    return f"{number * EVERY_SECONDS / 60:4.1f} min  {sizes}  {rate:,.0f} events/s  waiting {look.waiting}"


def _judged(looks: list[Look], client: Client) -> int:
    """Print what came of it, and return how many things are wrong."""
    third = len(looks) // 3
    earlier, later = looks[third : 2 * third], looks[2 * third :]
    wrong = 0
    for name in ("web", "worker"):
        before, after = (statistics.median(look.sizes[name] for look in part) for part in (earlier, later))
        grown = after / before - 1
        print(f"{name}: from {before / 1e6:.0f} to {after / 1e6:.0f} MB, {grown:+.1%} (at most {ALLOWED:.0%})")
        wrong += grown > ALLOWED
    waited, waits = (statistics.median(look.waiting for look in part) for part in (earlier, later))
    rate = (looks[-1].posted - looks[third].posted) * corpus.BATCH / ((len(looks) - 1 - third) * EVERY_SECONDS)
    print(f"{rate:,.0f} events/s, {client.refused} posts refused, waiting {waited:.0f} and then {waits:.0f} batches")
    print(f"posts were answered after {statistics.quantiles(client.waited, n=100)[98] * 1000:.0f} ms (p99)")
    return wrong + bool(client.refused) + (rate < RATE * 0.98) + (waits > waited + 50)


def main() -> None:
    """Run, and exit 1 where anything is wrong."""
    parser = ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=15.0, help="how long (default: 15)")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL")
    options = parser.parse_args()
    if options.minutes < SHORTEST:
        parser.error(f"less than {SHORTEST} minutes tell nothing")
    try:
        sys.exit(bool(run(options)))
    except installation.NotThere as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
