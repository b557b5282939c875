"""Who gains what by a role."""

from alerts.rbac import Role, Subject, assess, net_new
from tests.unit.rbac.clusters import aggregated, binding, cluster, ref, role


def test_a_holder_gains_what_no_other_grant_gave() -> None:
    access = cluster(
        role("new", "list on secrets", "get on pods"),
        role("old", "get on pods"),
        binding("b1", "new", "user ana"),
        binding("b2", "old", "user ana"),
    )
    (one,) = net_new(access, ref("new"))
    assert [part.text for part in one.gains] == ["list on secrets"]
    assert [part.rules for part in one.gains] == [(0,)]
    assert ([held.id for held in one.new], one.had_nothing) == (["list-secrets"], False)


def test_what_a_group_gave_already_is_not_new() -> None:
    access = cluster(
        role("new", "list on secrets"),
        role("old", "* on * in *"),
        binding("b1", "new", "account web/bot", "user ana"),
        binding("b2", "old", "group system:serviceaccounts:web"),
    )
    ana, bot = net_new(access, ref("new"))
    assert (ana.subject, bool(ana.gains), ana.had_nothing) == (Subject("User", "ana"), True, True)
    assert (bot.subject, bot.gains, bot.new) == (Subject("ServiceAccount", "bot", "web"), (), ())


def test_groups_that_were_seen_count_when_they_are_given() -> None:
    access = cluster(
        role("new", "list on secrets"),
        role("old", "list on secrets"),
        binding("b1", "new", "user ana"),
        binding("b2", "old", "group devs"),
    )
    assert net_new(access, ref("new"))[0].gains
    assert not net_new(access, ref("new"), groups={Subject("User", "ana"): ["devs"]})[0].gains


def test_what_is_held_in_one_namespace_is_new_everywhere() -> None:
    access = cluster(
        role("new", "list on secrets"),
        role("old", "list on secrets"),
        binding("b1", "new", "user ana"),
        binding("b2", "old", "user ana", namespace="web"),
    )
    assert [part.text for part in net_new(access, ref("new"))[0].gains] == ["list on secrets"]


def test_what_is_held_everywhere_is_not_new_in_a_namespace() -> None:
    access = cluster(
        role("new", "list on secrets", "get at /metrics"),
        role("old", "list on secrets"),
        binding("b1", "new", "user ana", namespace="web"),
        binding("b2", "old", "user ana"),
    )
    (one,) = net_new(access, ref("new"))
    assert (one.scope, one.gains, one.new) == ("web", (), ())


def test_holders_of_an_aggregated_role_gain_what_a_child_feeds_in() -> None:
    fed = role("", "list on secrets", "get on pods")["rules"]
    access = cluster(
        role("new", "list on secrets", labels={"feed": "true"}),
        role("old", "get on pods", labels={"feed": "true"}),
        aggregated("view", "feed") | {"rules": fed},
        binding("b", "view", "group devs"),
    )
    (one,) = net_new(access, ref("new"))
    assert [part.text for part in one.gains] == ["list on secrets"]
    assert one.holder.through == (ref("view"),)


def test_a_change_is_compared_with_the_earlier_version() -> None:
    now = cluster(role("r", "list, get on secrets"), binding("b", "r", "user ana"))
    before = now.with_(Role.of_manifest(role("r", "get on secrets")))
    (one,) = net_new(now, ref("r"), before=before)
    assert [part.text for part in one.gains] == ["list on secrets"]
    assert [held.id for held in one.new] == ["list-secrets"]


def test_more_names_than_before_are_new() -> None:
    access = cluster(
        role("new", "get on secrets named a, b"),
        role("old", "get on secrets named a"),
        binding("b1", "new", "user ana"),
        binding("b2", "old", "user ana"),
    )
    (one,) = net_new(access, ref("new"))
    assert [held.id for held in one.new] == ["get-secrets"]
    assert [part.text for part in one.gains] == ["get on secrets named b"]


def test_the_gravest_come_first() -> None:
    access = cluster(
        role("new", "list on secrets"),
        role("old", "list on secrets"),
        binding("b1", "new", "user has-it", "user gains-it"),
        binding("b2", "old", "user has-it"),
    )
    assert [one.subject.name for one in net_new(access, ref("new"))] == ["gains-it", "has-it"]


def test_everybody_comes_first_however_many_are_named_before() -> None:
    crowd = [f"user {number}" for number in range(300)]
    access = cluster(role("r", "list on secrets"), binding("b", "r", *crowd, "group system:authenticated"))
    first, *_ = net_new(access, ref("r"))
    assert first.subject.everybody
    assert assess(access.rules(ref("r")), ref=ref("r"), access=access).score == 100


def test_of_equal_gains_those_in_the_whole_cluster_and_of_groups_come_first() -> None:
    access = cluster(
        role("r", "list on secrets"),
        binding("a", "r", "group inside", namespace="web"),
        binding("b", "r", "user ana", "group devs"),
    )
    assert [one.subject.name for one in net_new(access, ref("r"))] == ["devs", "ana", "inside"]
