"""The opened steps of an alert, with evidence in them."""

import json
from html.parser import HTMLParser

import pytest
from django.test import Client

from alerts.models import Alert, Cluster
from tests.recorded import ATTACK, BEFORE, as_list, events, gathered, take_in, take_in_recordings

EVIL = "<img src=x onerror=alert(1)>\u202e'\"{{ 7|add:7 }}"


class Tags(HTMLParser):
    """Collects the tags and attributes of a page, and whether they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(client: Client, alert: Alert) -> Tags:
    response = client.get(alert.get_absolute_url())
    assert response.status_code == 200
    tags = Tags()
    tags.feed(response.content.decode())
    return tags


def words(tags: Tags) -> str:
    return " ".join(tags.text.split())


@pytest.fixture
def attack(cluster: Cluster) -> Alert:
    return gathered(take_in_recordings(cluster, *BEFORE, ATTACK)["ClusterRole metrics-scraper-v2 created"])


def test_the_page_tells_the_attack_in_plain_words(as_vic: Client, attack: Alert) -> None:
    text = words(page_of(as_vic, attack))
    for sentence in (
        "ClusterRoleBinding platform-deployer of ClusterRole platform-deployer",
        "Address 203.0.113.77 new to it",
        "4 of 16 requests",
        "It is not usual: ci-deployer wrote RBAC 10 times before, with Helm/3.16.2 from 10.20.9.2.",
        "Everything, future APIs included",
        "closest default role: cluster-admin, 100 % · closest peer: platform-deployer",
        "through ClusterRoleBinding metrics-scraper-v2",
        "read 3 secrets in payments",
        "privileged, mounts the host’s /",
        "Every request that this role permitted: 9",
        "Could make such a role",
        "user ci-deployer, its maker by ClusterRoleBinding platform-deployer",
        "kubectl delete daemonsets.apps --namespace=kube-system -- node-exporter-x",
        "The least role that would have done",
        "Score 100: what it is made of",
    ):
        assert sentence in text, sentence


def test_the_timeline_has_dots_by_heat(as_vic: Client, attack: Alert) -> None:
    dots = [attributes.get("class") for tag, attributes in page_of(as_vic, attack).seen if tag == "span"]
    assert dots.count("dot hot") > 8


def test_steps_without_evidence_say_that_it_is_being_gathered(as_vic: Client, cluster: Cluster) -> None:
    alert, *_ = take_in(cluster, as_list(events(ATTACK)))
    assert words(page_of(as_vic, alert)).count("Evidence is being gathered…") >= 5


def test_a_refused_attempt_and_an_unrecorded_role_have_their_steps_too(as_vic: Client, cluster: Cluster) -> None:
    opened = take_in_recordings(cluster, *BEFORE)
    text = words(page_of(as_vic, gathered(opened["Attempt to create an unnamed ClusterRole"])))
    assert "What it would have permitted was not recorded." in text
    assert "cannot create resource" in text
    escalation = words(page_of(as_vic, gathered(opened["Attempt to create ClusterRole debug-everything"])))
    assert "It would have permitted: Everything, future APIs included." in escalation


def test_nothing_an_attacker_named_becomes_markup(as_vic: Client, cluster: Cluster) -> None:
    text = json.dumps(events(ATTACK))
    for name in ("metrics-scraper-v2", "node-exporter-x", "db-credentials", "python-requests/2.32.3", "203.0.113.77"):
        text = text.replace(name, json.dumps(EVIL)[1:-1])
    alert, *_ = take_in(cluster, as_list(json.loads(text)))
    tags = page_of(as_vic, gathered(alert))
    assert not any(tag == "img" or "onerror" in attributes for tag, attributes in tags.seen)
    assert not any("style" in attributes for _, attributes in tags.seen)
    assert "<img src=x onerror=alert(1)>\\u202e" in tags.text
    assert "\u202e" not in tags.text


def test_a_cluster_that_could_not_be_asked_offers_a_retry(as_ana: Client, attack: Alert) -> None:
    Alert.objects.update(evidence_error="The API server of prod-eu did not answer.")
    tags = page_of(as_ana, attack)
    assert "The API server of prod-eu did not answer." in tags.text
    assert any(attributes.get("action") == f"/alerts/{attack.pk}/investigate" for _, attributes in tags.seen)
