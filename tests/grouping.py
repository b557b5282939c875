"""The tests of a folder that share something costly, a control plane or a browser, run on one worker, one by one.

This is what xdist's own mark xdist_group is for, which pytest 9.2 makes it ignore (pytest-xdist issue 1386).
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/browser/", "tests/cluster/test_rbac_oracle.py", "tests/cluster/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that hands out the tests of such a folder as one, and every other test by itself."""
    if config.getoption("dist") != "loadgroup":
        return None
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lambda nodeid: next((start for start in TOGETHER if nodeid.startswith(start)), nodeid)
    return scheduler
