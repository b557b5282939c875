"""Become another program, one that cannot outlive the process which started it.

`python -I -S bound.py SIGNAL PARENT COMMAND…` ends with the process PARENT, however that died. It is a script of its
own because code between fork and exec is unsafe in a process with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def bind_to_parent(signal: int) -> None:
    """Have the kernel send us a signal when our parent is gone; exec keeps that (prctl(2)). Only Linux can."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def main(signal: str, parent: str, *command: str) -> None:
    """Replace this process by the command, unless the parent died before the kernel was told."""
    bind_to_parent(int(signal))
    if os.getppid() == int(parent):
        os.execvp(command[0], command)  # noqa: S606 (no shell is what we want)


if __name__ == "__main__":
    main(*sys.argv[1:])
