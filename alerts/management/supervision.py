"""Programs kept running together: started, waited for, restarted when they die, and stopped in order.

Nothing outlives its supervisor. Each program leads a process group of its own, so that Ctrl+C reaches the supervisor
alone and whatever a dead program leaves behind can be found, and is bound to the supervisor's life by `bound.py`.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS_TO_START = 60.0
LONGEST_PAUSE = 30.0
SOUND_AFTER = 60.0


class DidNotStart(Exception):
    """A program that ended, or did not answer in time, before everything was up; says which and where to look."""


class AlreadyRunning(Exception):
    """Another supervisor works in this directory."""


@dataclass(frozen=True)
class Program:
    """A program to keep running, and how to tell that it does."""

    name: str
    command: tuple[str, ...]
    answers: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[int, ...] = ()
    # What the kernel sends it when the supervisor was killed. A program with children of its own that the kernel does
    # not tell gets a signal that lets it take them along.
    orphaned: signal.Signals = signal.SIGKILL
    seconds_to_stop: float = 10.0


class _Running:
    """One program's process, and when the next attempt is due after it died."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.pause = 0.5
        self.start()

    def start(self) -> None:
        bound = str(Path(__file__).with_name("bound.py"))
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", bound, str(self.program.orphaned.value), str(os.getpid())),
                *self.program.command,
            ],
            env={**os.environ, **self.program.environment},
            stdin=subprocess.DEVNULL,
            # What goes wrong they say on stderr; the rest would only hide it, and ours.
            stdout=subprocess.DEVNULL,
            pass_fds=self.program.files,
            start_new_session=True,
        )
        self.started_at = time.monotonic()
        self.due_at: float | None = None

    def kill(self) -> None:
        """End the process and everything in its group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End the process in order, or at once where that takes too long."""
        if self.due_at is not None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.program.seconds_to_stop)
        self.kill()


class Supervisor:
    """Keeps programs running until Ctrl+C, SIGTERM or SIGHUP, and stops them in the reverse order of their start.

    A context manager: leaving it stops everything, a second signal meanwhile kills everything. `say` prints a line.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._running: list[_Running] = []

    def __enter__(self) -> Self:
        self._handlers = {
            number: signal.signal(number, signal.default_int_handler)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        interrupted = kind is KeyboardInterrupt
        try:
            if interrupted:
                self._say("Stopping… (Ctrl+C again to stop at once)")
            for running in reversed(self._running):
                running.stop()
        except KeyboardInterrupt:
            for number in self._handlers:
                signal.signal(number, signal.SIG_IGN)
            for running in reversed(self._running):
                running.kill()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if interrupted:
            self._say("Stopped.")
        return interrupted

    def start(self, *programs: Program) -> None:
        """Start programs at the same time and return when each of them answers.

        Raises DidNotStart.
        """
        waiting = [_Running(program) for program in programs]
        self._running += waiting
        deadline = time.monotonic() + SECONDS_TO_START
        while waiting := [running for running in waiting if not running.program.answers()]:
            for running in waiting:
                if (status := running.process.poll()) is not None:
                    raise DidNotStart(f"{running.program.name} {_ended(status)} while it started; see the lines above.")
                if time.monotonic() > deadline:
                    raise DidNotStart(f"{running.program.name} does not answer after {SECONDS_TO_START:.0f} seconds.")
            time.sleep(0.05)

    def watch(self) -> None:
        """Restart whatever ends, with growing pauses, until a signal ends this."""
        while True:
            for running in self._running:
                self._look_after(running)
            time.sleep(0.2)

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.due_at is not None:
            if now >= running.due_at:
                running.start()
        elif (status := running.process.poll()) is not None:
            running.kill()
            running.pause = 1.0 if now - running.started_at > SOUND_AFTER else min(running.pause * 2, LONGEST_PAUSE)
            running.due_at = now + running.pause
            self._say(f"{running.program.name} {_ended(status)}; starting it again in {running.pause:.0f} s.")


def _ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[Path]:
    """Hold a directory for this process alone, with a locked file in it, which the context is.

    The kernel lets go of it when the process ends in whatever way.
    Raises AlreadyRunning.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = directory / "running"
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise AlreadyRunning(f"Rolecall already runs in {directory} (process {holder}).") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield lock
