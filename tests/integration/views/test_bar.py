"""The bar at the top of every page: whether audit events keep coming."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import Cluster
from alerts.services import stream
from alerts.views import bar


@pytest.fixture
def heard(cluster: Cluster) -> Cluster:
    cluster.last_batch_at = timezone.now() - timedelta(seconds=3)
    cluster.save()
    return cluster


def test_it_says_when_the_last_event_came(as_vic: Client, heard: Cluster) -> None:
    assert bar.health() == bar.Health(good=True, text="1 cluster · last event 3 s ago")
    assert "1 cluster · last event" in as_vic.get("/").content.decode()


def test_before_the_first_event_nothing_is_good(cluster: Cluster) -> None:
    assert bar.health() == bar.Health(good=False, text="1 cluster · nothing received yet")


def test_a_cluster_that_has_been_quiet_for_too_long_is_named(heard: Cluster) -> None:
    Cluster.objects.create(name="staging", last_batch_at=timezone.now() - stream.silence_limit() - timedelta(minutes=1))
    said = bar.health()
    assert not said.good
    assert said.text.startswith("2 clusters · staging silent for ")


def test_one_whose_canaries_do_not_come_back_is_silent_however_much_it_sends(heard: Cluster) -> None:
    Cluster.objects.update(silent_since=timezone.now())
    assert not bar.health().good


def test_several_that_are_silent_are_counted(heard: Cluster) -> None:
    long_ago = timezone.now() - timedelta(days=1)
    Cluster.objects.create(name="staging", last_batch_at=long_ago)
    Cluster.objects.create(name="test", last_batch_at=long_ago)
    assert bar.health() == bar.Health(good=False, text="3 clusters · 2 of them silent")
