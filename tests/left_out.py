"""Tests that need what not every machine has are left out there; the last lines say so, and how to get it.

Where everything must run, the need's variable (such as ROLECALL_REQUIRE_BROWSER=1) makes leaving out an error.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.control_plane import binaries

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@dataclass(frozen=True)
class Need:
    """Something outside that the tests with a marker need."""

    marker: str
    is_met: Callable[[], bool]
    remedy: str

    @property
    def variable(self) -> str:
        """The environment variable that forbids leaving these tests out."""
        return f"ROLECALL_REQUIRE_{self.marker.upper()}"


NEEDS = (
    Need(
        "control_plane",
        lambda: not binaries.missing(),
        "`make control-plane` brings them (and `apt-get install etcd-server`, or KUBEBUILDER_ASSETS names a folder).",
    ),
    Need(
        "browser",
        lambda: shutil.which(CHROMIUM) is not None,
        "`apt-get install chromium` brings them, or CHROMIUM names one.",
    ),
)

LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = {}
    for need in NEEDS:
        if os.environ.get(need.variable) and not need.is_met():
            raise pytest.UsageError(f"{need.variable} is set, but the {need.marker} tests cannot run: {need.remedy}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = {need.marker for need in NEEDS if not need.is_met()}
    for marker in missing:
        left_out = [item for item in items if item.get_closest_marker(marker)]
        if left_out:
            config.stash[LEFT_OUT][marker] = len(left_out)
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Every worker collects the same tests.
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in _sentences(config.stash[LEFT_OUT]):
        terminalreporter.write_line(line, yellow=True)


def _sentences(left_out: dict[str, int]) -> Iterator[str]:
    for need in NEEDS:
        if count := left_out.get(need.marker):
            yield f"Left out: {count} {need.marker} tests. {need.remedy}"
