"""Whether anything makes the decoder raise, lose or invent an event: `python -m benchmarks.fuzz`.

A fuzzer guided by coverage, atheris, starts from the recorded and the hostile events of tests/data, and makes up bodies
for as long as it is told. It is brought into an environment that is thrown away. Exit 1 where it found something; what
it found stays beside the corpus, whose place is printed.
"""

import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from importlib.metadata import version
from pathlib import Path

from benchmarks.installation import ROOT

# Longer bodies find nothing more and cost time.
LONGEST = 8 * 1024
_SECONDS_A_BODY = 10
_SEEDS = (ROOT / "tests" / "data" / "audit", ROOT / "alerts" / "cluster" / "practice" / "recordings")


def seed(corpus: Path) -> int:
    """Write every recorded and hostile body, whole and line by line, to begin with; return how many."""
    count = 0
    for file in (each for folder in _SEEDS for each in sorted(folder.rglob("*.json*"))):
        content = file.read_bytes()
        lines = content.splitlines()
        for body in {content, *lines[:20], b'{"kind":"EventList","items":[' + b",".join(lines[:3]) + b"]}"}:
            if len(body) <= LONGEST:
                (corpus / str(count)).write_bytes(body)
                count += 1
    return count


def environment(path: Path) -> str:
    """Make an environment with the fuzzer and what the decoder needs, and return its Python."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    python = str(path / "bin" / "python")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(path)], check=True)
    wanted = ("atheris", f"msgspec=={version('msgspec')}")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
    return python


def main() -> None:
    """Fuzz, and exit 1 where anything was found."""
    parser = ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=15.0, help="how long (default: 15)")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="rolecall-fuzz-"))
    corpus = directory / "corpus"
    corpus.mkdir()
    print(f"{seed(corpus)} bodies to begin with, in {corpus}", flush=True)
    limits = (f"-max_total_time={int(options.minutes * 60)}", f"-max_len={LONGEST}", f"-timeout={_SECONDS_A_BODY}")
    command = [environment(directory / "environment"), str(Path(__file__).with_name("fuzz_target.py")), str(corpus)]
    found = subprocess.run([*command, *limits, "-print_final_stats=1"], cwd=directory, check=False)
    sys.exit(bool(found.returncode))


if __name__ == "__main__":
    main()
