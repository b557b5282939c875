"""Programs of a control plane as child processes: logged, awaited, and never left behind."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class NotStarted(Exception):
    """A program ended, or was not ready in time. The message holds the end of its log."""


def free_port() -> int:
    """Return a loopback port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    program: Path, *flags: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program while the context lasts. The kernel kills it should this thread die first (PR_SET_PDEATHSIG)."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(program), *flags],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()  # it has nothing to save, and an orderly end takes an API server five seconds
        process.wait()


def await_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, seconds: float = 60) -> None:
    """Return once `ready()` is true.

    Raises NotStarted where the process ends first, or the time runs out.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            ending = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise NotStarted(f"{log.stem} did not become ready. The end of its log:\n{ending}")
        time.sleep(0.05)
