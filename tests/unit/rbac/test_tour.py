"""The tour in the package's own words."""

import doctest

from alerts import rbac


def test_the_tour_is_true() -> None:
    outcome = doctest.testmod(rbac)
    assert outcome.failed == 0
    assert outcome.attempted > 8


def test_everything_that_is_exported_is_there_and_explained() -> None:
    for name in rbac.__all__:
        if name not in {"UNSEEN", "CAPABILITIES", "Rules"}:
            assert getattr(rbac, name).__doc__, name
