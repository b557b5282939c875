"""An installation of its own for a benchmark: a directory, a database, a broker, and the programs of the Procfile."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECONDS_TO_START = 60.0
_LIBRARY = Path("/usr/lib/postgresql")


class NotThere(Exception):
    """Something that the benchmark needs is not on this machine; says what."""


@dataclass
class Program:
    """A program that is started again whenever it is gone."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = ROOT
    process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Start it unless it runs."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # What they say of each other's death is what is to be expected here.
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def processes(self) -> list[int]:
        """Return the ids of its processes, its first one in front; none where it is gone."""
        if self.process is None or self.process.poll() is not None:
            return []
        found, parents = [self.process.pid], _parents()
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found


def kill(pids: list[int]) -> None:
    """Kill processes with -9, where they are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _parents() -> dict[int, int]:
    """Return every process of this machine with its parent."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold anything; the state and the parent follow it (proc(5)).
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    return parents


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Make a directory for an installation; at the end, whatever still works in it is killed, and it is removed."""
    path = Path(tempfile.mkdtemp(prefix="rolecall-benchmark-"))
    # PostgreSQL, which may have to run as somebody else, passes through to its own directory in it.
    path.chmod(0o711)
    # Told to end, it must not leave everything running either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield path
    finally:
        while at_work := _at_work(path):
            kill(at_work)
            time.sleep(0.05)
        shutil.rmtree(path, ignore_errors=True)


def _at_work(path: Path) -> list[int]:
    """Return the processes that were started for the directory: they work in it, or their environment says so."""
    found, mark = [], f"DATA_DIR={path}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            theirs = mark in (process / "environ").read_bytes() or (process / "cwd").readlink().is_relative_to(path)
            if theirs and process.name != str(os.getpid()):
                found.append(int(process.name))
    return found


def settle_in(path: Path, database_url: str = "") -> None:
    """Have this process, and those it starts, use the directory and a database: SQLite there, or the one given."""
    data = path / "data"
    data.mkdir(mode=0o700)
    os.environ |= {
        "DATA_DIR": str(data),
        "DATABASE_URL": database_url or f"sqlite:///{data}/rolecall.sqlite3",
        "DJANGO_SETTINGS_MODULE": "triage.settings",
        "BROKER_URL": "",
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "ALLOWED_HOSTS": "127.0.0.1",
        "LOG_LEVEL": "CRITICAL",
        "DEBUG": "false",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)


def begin(path: Path, *, postgres: bool) -> list[Program]:
    """Begin an installation in the directory, on a SQLite or a PostgreSQL of its own, whose server is returned.

    Raises NotThere.
    """
    if not postgres:
        settle_in(path)
        return []
    server, address = postgresql(path)
    server.keep()
    wait_for(lambda: connected(path))
    settle_in(path, address)
    return [server]


def enrol() -> str:
    """Make the cluster that the benchmarks post for, named benchmark, and return its hook's token."""
    from alerts.models import Cluster

    cluster = Cluster(name="benchmark")
    token = cluster.issue_hook_token()
    cluster.save()
    return token


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def web(port: int) -> Program:
    """Return the web process with two workers."""
    command = ("gunicorn", "triage.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--preload")
    return Program("web", (sys.executable, "-m", *command, "--no-control-socket"))


def worker() -> Program:
    """Return a worker with two processes."""
    command = ("celery", "--quiet", "-A", "triage", "worker", "--concurrency", "2", "--loglevel", "CRITICAL")
    return Program("worker", (sys.executable, "-W", "ignore", "-m", *command))


def beat() -> Program:
    """Return the clock."""
    return Program(
        "beat", (sys.executable, "-m", "celery", "--quiet", "-A", "triage", "beat", "--loglevel", "CRITICAL")
    )


def valkey() -> Program:
    """Return the broker of embedded mode."""
    from alerts.management import embedded

    return Program("valkey", embedded.valkey().command)


def postgresql(path: Path) -> tuple[Program, str]:
    """Make a database cluster in the directory; return its server, with its defaults for durability, and its address.

    Raises NotThere.
    """
    found = sorted(_LIBRARY.glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    if not found:
        raise NotThere("No PostgreSQL server found. Install its binaries (Debian: apt-get install postgresql).")
    home, owner = path / "postgresql", _owner()
    home.mkdir()
    if owner:
        shutil.chown(home, owner)
    account = ("setpriv", f"--reuid={owner}", "--clear-groups", "--") if owner else ()
    make = ("--pgdata", "data", "--username", "rolecall", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
    subprocess.run([*account, str(found[-1]), *make], cwd=home, check=True, stdout=subprocess.DEVNULL)
    options = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={home}")
    command = (*account, str(found[-1].with_name("postgres")), "-D", "data", *options)
    address = f"postgres://rolecall@{str(home).replace('/', '%2F')}/postgres"
    return Program("postgresql", command, {"DATA_DIR": str(home)}, home), address


def _owner() -> str:
    """Return whom PostgreSQL has to run as: it refuses to be root."""
    if os.getuid():
        return ""
    accounts = [line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()]
    return "postgres" if "postgres" in accounts else "nobody"


def connected(path: Path) -> bool:
    """Tell whether the PostgreSQL in the directory takes connections."""
    import psycopg

    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(host=str(path / "postgresql"), user="rolecall", dbname="postgres").close()
        return True
    return False


def wait_for(answers: Callable[[], bool], *, seconds: float = SECONDS_TO_START) -> None:
    """Wait until a function says yes.

    Raises NotThere.
    """
    deadline = time.monotonic() + seconds
    while not answers():
        if time.monotonic() > deadline:
            raise NotThere("A program did not start in time.")
        time.sleep(0.05)


def listening(port: int) -> bool:
    """Tell whether something listens on the port."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False
