"""How fast others read the bodies in a file: run by the Python that has them, `peers.py FILE NAME`. Prints seconds."""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUNDS = 4


def reader(name: str) -> Callable[[bytes], Any]:
    """Return the function that parses a body."""
    module = importlib.import_module(name)
    # simdjson only parses here, which is the limit; making Python objects of it takes many times as long.
    read: Callable[[bytes], Any] = module.Parser().parse if name == "simdjson" else module.loads
    return read


def main(file: str, name: str) -> None:
    """Print the least seconds of CPU in which all bodies of a file, one a line, were read."""
    lines, read = Path(file).read_bytes().splitlines(), reader(name)
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for line in lines:
            read(line)
        best = min(best, time.process_time() - start)
    print(best)


if __name__ == "__main__":
    main(*sys.argv[1:])
