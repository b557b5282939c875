"""Rules for known actors: whom they fit, and which are refused because they would fit too many."""

import pytest

from alerts.audit.actor_rule import PRESETS, ActorRule

RELEASES = ActorRule("ci-deployer", "Helm/3.*", ("10.20.9.0/24", "127.0.0.1/32"))


def test_a_rule_fits_its_actor() -> None:
    assert RELEASES.fits(username="ci-deployer", client="Helm/3.16.2", addresses=["10.20.9.2", "127.0.0.1"])


@pytest.mark.parametrize(
    ("username", "client", "addresses"),
    [
        ("ci-deployer-2", "Helm/3.16.2", ["10.20.9.2", "127.0.0.1"]),
        ("ci-deployer", "python-requests/2.32.3", ["10.20.9.2", "127.0.0.1"]),
        ("ci-deployer", "Helm/3.16.2", ["203.0.113.77", "127.0.0.1"]),
        ("ci-deployer", "Helm/3.16.2", []),
    ],
)
def test_the_actor_elsewhere_or_with_another_client_is_somebody_else(
    username: str, client: str, addresses: list[str]
) -> None:
    assert not RELEASES.fits(username=username, client=client, addresses=addresses)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (ActorRule("*"), "username"),
        (ActorRule("sy*"), "username"),
        (ActorRule("system:*"), "username"),
        (ActorRule("system:anonymous"), "username"),
        (ActorRule("system:serviceaccount:*:*"), "username"),
        (ActorRule("system:serviceaccount:*:default"), "username"),
        (ActorRule("system:node:*"), "username"),
        (ActorRule("kubernetes-admin"), "username"),
        (ActorRule("ci", "*"), "client"),
        (ActorRule("ci", "x" * 501), "client"),
        (ActorRule("ci", networks=("10.0.0.1/8",)), "networks"),
        (ActorRule("ci", networks=("home",)), "networks"),
    ],
)
def test_what_would_fit_too_many_is_refused(rule: ActorRule, field: str) -> None:
    assert field in dict(rule.problems())


def test_presets_are_rules_that_could_be_saved_where_nothing_is_left_to_fill_in() -> None:
    assert {preset.key: list(preset.rule.problems()) for preset in PRESETS if preset.rule.username} == {
        preset.key: [] for preset in PRESETS if preset.key != "helm"
    }
