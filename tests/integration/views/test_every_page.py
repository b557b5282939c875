"""What must hold on every page, whichever is added: log-in, CSP, nothing an attacker wrote comes out as markup."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts import urls
from alerts.models import (
    AccessVersion,
    Alert,
    AuditEvent,
    Channel,
    Cluster,
    DamagedItem,
    KnownActor,
    Mute,
    Notification,
    RemedyItem,
    SavedView,
    Stakeholder,
)  # fmt: skip
from alerts.services import posture, watch, workflow
from tests.conftest import logged_in
from tests.factories import make_alert, make_finding

HOSTILE = "<img src=x onerror=alert(1)>\u202e\"'><script>alert(2)</script>\x1b[31m{{ 7|add:7 }}"
# In plain text, for monitors
NO_PAGES = {"healthz", "readyz", "metrics"}
OPEN_TO_ALL = {"login", "hook"} | NO_PAGES
CHANGES_ONLY = {
    "take", "assign", "move", "answer", "close", "reopen", "note", "edit_note", "bulk", "logout", "hook",
    "revoke_plan", "remove_plan", "revoke_approve", "revoke_restore", "revoke_call_off", "revoke_check", "retry",
    "watch", "end_watch", "test_message", "remove_stakeholder", "remove_channel", "investigate", "examine_again",
    "end_mute", "switch_known_actor", "save_view", "remove_view", "tick_remedy", "extend_watch", "decide_finding",
}  # fmt: skip


@pytest.fixture
def alert(cluster: Cluster, ana: User) -> Alert:
    """An alert on which every string that an attacker can choose is hostile."""
    event = AuditEvent.objects.create(
        cluster=cluster, sha256="0" * 64, audit_id=HOSTILE, at="2026-11-23T17:52:12Z", verb="create",
        username=HOSTILE, user_agent=HOSTILE, source_ips=[HOSTILE], name=HOSTILE, body={HOSTILE: [HOSTILE]},
    )  # fmt: skip
    each = {"summary": HOSTILE, "chips": [["critical", HOSTILE]], "address": HOSTILE, "client": HOSTILE}
    found = make_alert(
        cluster,
        HOSTILE,
        actor=HOSTILE,
        story=[["strong", HOSTILE]],
        evidence={"policies": {"findings": []}, "creator": each | {"allowed_by": {"role": HOSTILE}}},
        evidence_at="2026-11-23T17:53:00Z",
        evidence_error=HOSTILE,
    )
    found.events.add(event)
    assert found.object is not None
    manifest = {
        "kind": "ClusterRole",
        "metadata": {"name": HOSTILE, "labels": {HOSTILE: HOSTILE}},
        "rules": [{"verbs": [HOSTILE], "apiGroups": [HOSTILE], "resources": [HOSTILE], "resourceNames": [HOSTILE]}],
    }
    AccessVersion.objects.create(
        object=found.object, source="event", event=event, uid="1", resource_version="1", manifest=manifest
    )
    DamagedItem.objects.create(
        cluster=cluster, sha256="1" * 64, position=0, reason=HOSTILE, salvaged={HOSTILE: HOSTILE}, size=1, body=b""
    )
    workflow.write_note(found, HOSTILE, by=ana)
    known = KnownActor.objects.create(
        cluster=cluster, name="x", username=HOSTILE, client=HOSTILE, networks=[HOSTILE], created_by=ana
    )
    mute = Mute.objects.create(
        object=HOSTILE, actor=HOSTILE, reason=HOSTILE, created_by=ana, expires_at=timezone.now() + timedelta(days=1)
    )
    Alert.objects.filter(pk=found.pk).update(known_actor=known, muted_by=mute, release=HOSTILE)
    stakeholder = Stakeholder.objects.create(name="Security", group="security", email="security@example.org")
    Notification.objects.create(
        alert=found, stakeholder=stakeholder, recipient="Security", way="email", destination="security@example.org",
        key="1", subject=HOSTILE[:100], text=HOSTILE, state="failed", error=HOSTILE,
    )  # fmt: skip
    RemedyItem.objects.create(
        alert=found, digest="2" * 64, kind="workload", title=HOSTILE, note=HOSTILE, command=HOSTILE, made_by=HOSTILE,
        object_kind="Pod", namespace=HOSTILE, name=HOSTILE,
    )  # fmt: skip
    make_finding(cluster, title=HOSTILE, detail=HOSTILE)
    posture.accept(make_finding(cluster, title=HOSTILE, detail=HOSTILE, alert=found), by=ana, reason=HOSTILE)
    posture.mark_fixed(make_finding(cluster, title=HOSTILE, detail=HOSTILE, kind="public"), by=ana)
    watch.start(found, by=ana)
    return found


@pytest.fixture
def pages(alert: Alert) -> dict[str, str]:
    """Every page's address, with the hostile alert in it."""
    channel = Channel(name="Workspace", kind="bot")
    channel.set_secret("xoxb-secret")
    channel.save()
    objects = {"alert": alert.pk, "role": alert.object_id, "note": alert.notes.get().pk, "channel": channel.pk}
    SavedView.objects.create(owner=User.objects.get(username="ana"), name=HOSTILE[:40], query="search=x", shared=True)
    objects |= {"view": SavedView.objects.get().pk}
    objects |= {"mute": Mute.objects.get().pk, "known-actor": KnownActor.objects.get().pk}
    objects |= {"stakeholder": Stakeholder.objects.get().pk, "notification": Notification.objects.get().pk}
    addresses = {}
    for pattern in urls.urlpatterns:
        route = str(pattern.pattern)
        values = {}
        for kind, name in re.findall(r"<(\w+):(\w+)>", route):
            subject = route.split("/", maxsplit=1)[0].rstrip("s")
            values[name] = {
                ("int", "pk"): objects.get(subject, 1),
                ("int", "note_pk"): objects["note"],
            }.get(
                (kind, name), alert.cluster.name if name in {"name", "cluster"} else "creator" if name == "key" else 1
            )
        addresses[str(pattern.name)] = reverse(f"alerts:{pattern.name}", kwargs=values)
    return addresses


def test_every_page_but_the_log_in_asks_for_one(client: Client, pages: dict[str, str]) -> None:
    for name in pages.keys() - OPEN_TO_ALL:
        for response in (client.get(pages[name]), client.post(pages[name])):
            assert response.status_code == 302, name
            assert response["Location"].startswith(reverse("alerts:login")), name


@pytest.mark.parametrize("htmx", [False, True])
def test_nothing_hostile_comes_out_as_markup(pages: dict[str, str], rex: User, ada: User, *, htmx: bool) -> None:
    for user in (rex, ada):
        client = logged_in(user)
        for name in pages.keys() - CHANGES_ONLY - NO_PAGES:
            response = client.get(pages[name], headers={"HX-Request": "true"} if htmx else {}, follow=True)
            assert response.status_code in {200, 403, 404}, name
            page = response.content.decode()
            assert "<img" not in page, name
            assert "<script>alert" not in page, name
            assert "\u202e" not in page, name
            assert "\x1b" not in page, name
            assert not re.search("&amp;(lt|gt|amp|quot|#x27);", page), f"{name} escapes something twice"
            assert not re.search(r"""\s(style|on\w+)=["']""", page.replace("&quot;", "").replace("onerror=", "")), name


def test_every_answer_carries_the_policy(client: Client, pages: dict[str, str], rex: User) -> None:
    client.force_login(rex)
    for name, address in pages.items():
        policy = client.get(address)["Content-Security-Policy"]
        assert "default-src 'none'" in policy, name
        assert "unsafe" not in policy, name


def test_addresses_that_change_something_and_no_others_refuse_to_be_looked_at(pages: dict[str, str], ada: User) -> None:
    client = logged_in(ada)
    assert {name for name, address in pages.items() if client.get(address).status_code == 405} == CHANGES_ONLY


def test_no_page_shows_a_secret(pages: dict[str, str], ada: User) -> None:
    client = logged_in(ada)
    for name in pages.keys() - CHANGES_ONLY:
        page = client.get(pages[name], follow=True).content.decode()
        assert "xoxb-secret" not in page, name
        assert str(settings.SECRET_KEY) not in page, name
