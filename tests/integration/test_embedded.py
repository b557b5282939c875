"""Embedded mode as a person starts it: every program real, in a directory and on a port of its own."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.integration.test_supervision import eventually

ROOT = Path(__file__).parent.parent.parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def start(directory: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "run", "--port", str(port)],
        cwd=ROOT,
        env={
            **os.environ,
            "DATA_DIR": str(directory),
            "DATABASE_URL": f"sqlite:///{directory}/rolecall.sqlite3",
            "BROKER_URL": "",
            "PUBLIC_URL": "http://127.0.0.1:8000",
            "ALLOWED_HOSTS": "127.0.0.1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextlib.contextmanager
def running(directory: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    with start(directory, port) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            assert said == f"Rolecall is at http://127.0.0.1:{port}/  (Ctrl+C stops it)\n", said + process.stdout.read()
            yield process
        finally:
            process.kill()


def family(directory: Path) -> dict[int, str]:
    """Return every process that works on the directory, with its command line: it names it there or in DATA_DIR."""
    members = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.name != str(os.getpid()):
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
                if f"{directory}/".encode() in command or f"DATA_DIR={directory}\0".encode() in environment:
                    members[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return members


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/login")
        return connection.getresponse().status == 200


def test_everything_runs_survives_and_ends_together(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as first:
        assert answers(port)
        programs = " ".join(family(tmp_path).values())
        assert all(name in programs for name in ("valkey-server", "gunicorn", "celery"))

        with start(tmp_path, port) as second:
            said, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert said == f"CommandError: Rolecall already runs in {tmp_path} (process {first.pid}).\n"

        first.kill()
        first.wait()
        assert eventually(lambda: not family(tmp_path))
        assert (tmp_path / "valkey.sock").exists()

    with running(tmp_path, port) as third:
        assert answers(port)
        third.send_signal(signal.SIGINT)

        assert third.wait(30) == 0
        assert not family(tmp_path)


def test_a_busy_port_is_named_with_the_option_that_helps(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with start(tmp_path, port) as process:
            said, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in said
    assert f"--port {port + 1}" in said
    assert not family(tmp_path)
