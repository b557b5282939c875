"""Whether memory stays flat under a steady load: `python -m benchmarks.soak`.

Posts events at a steady rate to a live installation (web, worker, beat, Valkey, SQLite), and prints every half minute
how much memory each program has and how much waits. Exit 1 where the worker's memory grew over the second half by more
than ALLOWED, or the backlog did.
"""

import http.client
import itertools
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from benchmarks import corpus, installation
from benchmarks.installation import Program

RATE = 4_000
EVERY_SECONDS = 30.0
# Of a program's memory at half time: what a working set breathes.
ALLOWED = 0.10
_DIFFERENT = 200


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
    """Yield batches without end, each of them new: the same events under other audit IDs."""
    made = corpus.bodies(_DIFFERENT * corpus.BATCH)
    for turn in itertools.count():
        for body in made:
            yield body.replace(b'"auditID":"', b'"auditID":"%d-' % turn)


def post(port: int, token: str, until: float, refused: list[int]) -> None:
    """Post at the rate until the time comes; what is refused is counted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    due = time.monotonic()
    for body in bodies():
        if time.monotonic() > until:
            return
        connection.request("POST", "/hook/benchmark", body, headers)
        answer = connection.getresponse()
        answer.read()
        refused[0] += answer.status != 200
        due += corpus.BATCH / RATE
        time.sleep(max(0.0, due - time.monotonic()))


def run(options: Namespace) -> int:
    """Do it, print a line for every half minute, and return how many things are wrong."""
    with installation.directory() as path:
        installation.settle_in(path)
        from alerts.models import Batch

        token = installation.enrol()
        port = installation.free_port()
        programs = [installation.valkey(), installation.web(port), installation.worker(), installation.beat()]
        for program in programs:
            program.keep()
        installation.wait_for(lambda: installation.listening(port))
        end, refused = time.monotonic() + options.minutes * 60, [0]
        client = threading.Thread(target=post, args=(port, token, end, refused))
        client.start()
        seen: list[tuple[dict[str, int], int]] = []
        while client.is_alive():
            client.join(EVERY_SECONDS)
            waiting = Batch.objects.filter(state="waiting").count()
            seen.append(({program.name: memory(program) for program in programs}, waiting))
            sizes = "  ".join(f"{name} {size / 1e6:.0f} MB" for name, size in seen[-1][0].items())
            print(f"{len(seen) * EVERY_SECONDS / 60:4.1f} min  {sizes}  waiting {waiting}", flush=True)
        posted = Batch.objects.count()
    return _judged(seen, posted, refused[0])


def _judged(seen: list[tuple[dict[str, int], int]], posted: int, refused: int) -> int:
    """Print what came of it, and return how many things are wrong."""
    # The last line may have been taken in the middle of the end.
    half, last = seen[len(seen) // 2], seen[-2]
    grown = {name: last[0][name] / half[0][name] - 1 for name in ("web", "worker")}
    print(f"{posted:,} batches stored, {refused} refused")
    for name, share in grown.items():
        print(f"{name}: {share:+.1%} over the second half (allowed {ALLOWED:.0%})")
    return sum(share > ALLOWED for share in grown.values()) + bool(refused) + (last[1] > half[1] + 50)


def main() -> None:
    """Run, and exit 1 where anything is wrong."""
    parser = ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    try:
        sys.exit(bool(run(parser.parse_args())))
    except installation.NotThere as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
