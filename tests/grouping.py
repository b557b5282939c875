"""The tests of a folder that share something costly, a control plane or a browser, run on one worker, one by one.

This is what xdist's own mark xdist_group is for, which pytest 9.2 makes it ignore (pytest-xdist issue 1386).
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

FOLDERS = ("tests/browser/", "tests/cluster/")


class Together(LoadScopeScheduling):
    """Hands out the tests of such a folder as one, and every other test by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in FOLDERS if nodeid.startswith(folder)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together | None:
    return Together(config, log) if config.getoption("dist") == "loadgroup" else None
