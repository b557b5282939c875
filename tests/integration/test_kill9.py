"""Every program killed with -9 under load, in short; `python -m benchmarks.kill9` is the long version of it."""

import subprocess
import sys

from django.db import connection

from tests.integration.test_embedded import ROOT


def test_nothing_acknowledged_is_lost_or_done_twice_whatever_is_killed() -> None:
    command = [sys.executable, "-m", "benchmarks.kill9", "--hurry", "--batches", "150", "--kills", "5"]
    if connection.vendor == "postgresql":
        command.append("--postgres")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "150 batches acknowledged" in ended.stdout
