"""The supervisor, with small programs of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alerts.management.supervision import AlreadyRunning, DidNotStart, Program, Supervisor, alone_in

# Starts one program that leaves a mark when it is up, and supervises it; all of it is told on the command line.
SUPERVISE = """
import sys
from pathlib import Path
from alerts.management.supervision import Program, Supervisor
mark, code = Path(sys.argv[1]), sys.argv[2]
program = Program("thing", (sys.executable, "-c", code, str(mark)), answers=mark.exists)
with Supervisor(lambda line: print(line, flush=True)) as supervisor:
    supervisor.start(program)
    print("up", flush=True)
    supervisor.watch()
"""
WAITS = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS
LEAVES_A_CHILD = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); {WAITS}"
)


@contextlib.contextmanager
def supervised(mark: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SUPERVISE, str(mark), code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        try:
            yield process
        finally:
            process.kill()


def family(mark: Path) -> list[int]:
    """Return the processes whose command line names the mark."""
    members = []
    for directory in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if directory.name.isdigit() and str(mark).encode() in (directory / "cmdline").read_bytes():
                members.append(int(directory.name))
    return members


def eventually(happens: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not (happened := happens()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return happened


def test_a_signal_stops_everything_and_is_success(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with supervised(tmp_path / number.name, WAITS) as process:
            process.send_signal(number)

            assert process.wait(20) == 0
            assert process.stdout
            assert process.stdout.read() == "Stopping… (Ctrl+C again to stop at once)\nStopped.\n"
            assert family(tmp_path / number.name) == []


def test_a_second_signal_ends_what_takes_its_time(tmp_path: Path) -> None:
    with supervised(tmp_path / "mark", IGNORES_SIGTERM) as process:
        assert process.stdout
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline().startswith("Stopping…")
        process.send_signal(signal.SIGINT)

        assert process.stdout.read() == "Stopped.\n"
        assert family(tmp_path / "mark") == []


def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    with supervised(tmp_path / "mark", IGNORES_SIGTERM) as process:
        process.kill()
        process.wait()

        assert eventually(lambda: not family(tmp_path / "mark"))


def test_a_program_that_dies_is_said_and_started_again_without_what_it_left_behind(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with supervised(mark, LEAVES_A_CHILD.replace("time.sleep(600)'", f"time.sleep(600)  # {mark}'")) as process:
        assert process.stdout
        before = set(family(mark)) - {process.pid}
        mark.unlink()
        os.kill(min(before), signal.SIGKILL)

        assert process.stdout.readline() == "thing was ended by SIGKILL; starting it again in 1 s.\n"
        assert eventually(mark.exists)
        assert not before & set(family(mark))


def test_a_program_that_ends_while_it_starts_is_named_with_its_status() -> None:
    program = Program("thing", (sys.executable, "-c", "raise SystemExit(3)"), answers=lambda: False)

    with (
        pytest.raises(DidNotStart, match="thing ended with status 3 while it started"),
        Supervisor(print) as supervisor,
    ):
        supervisor.start(program)


def test_a_directory_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    held = pytest.raises(AlreadyRunning, match=f"process {os.getpid()}")
    with alone_in(tmp_path / "data"), held, alone_in(tmp_path / "data"):
        pass

    with alone_in(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
