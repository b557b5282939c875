"""The stakeholders' page: everybody sees it, administrators change it, and secrets are never shown again."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from alerts.models import Activity, Channel, Notification, Stakeholder
from tests.conftest import logged_in
from triage.celery import app as celery

HOSTILE = "<img src=x onerror=alert(1)>"
TOKEN = "xoxb-123-secretpart"
WEBHOOK = "https://hooks.slack.com/services/T0/B0/secretpart"


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(celery.conf, "task_always_eager", True)


@pytest.fixture
def bot(db: None) -> Channel:
    channel = Channel(name="Acme", kind=Channel.Kind.BOT)
    channel.set_secret(TOKEN)
    channel.save()
    return channel


@pytest.fixture
def priya(db: None) -> Stakeholder:
    return Stakeholder.objects.create(name="Priya", group="security", email="priya@example.org")


def post(client: Client, view: str, *args: int, **fields: object) -> int:
    return client.post(reverse(f"alerts:{view}", args=args), fields).status_code


def page(client: Client, view: str = "stakeholders", *args: int) -> str:
    response = client.get(reverse(f"alerts:{view}", args=args))
    assert response.status_code == 200
    return response.content.decode()


def test_everybody_sees_who_is_told(as_vic: Client, priya: Stakeholder, bot: Channel) -> None:
    shown = page(as_vic)
    assert "Priya" in shown
    assert "priya@example.org" in shown
    assert 'disabled title="Needs the group Administrator."' in shown


def test_names_are_shown_and_never_run(as_vic: Client, bot: Channel) -> None:
    Stakeholder.objects.create(name=f"{HOSTILE}\u202e", group="it", channel=bot, slack_channel=HOSTILE)
    shown = page(as_vic)
    assert HOSTILE not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;\\u202e" in shown


@pytest.mark.parametrize("who", ["ana", "rex", "vic"])
def test_only_administrators_change_anything(
    who: str, request: pytest.FixtureRequest, priya: Stakeholder, bot: Channel
) -> None:
    client = logged_in(request.getfixturevalue(who))
    for name, args in (
        ("add_stakeholder", ()),
        ("stakeholder", (priya.pk,)),
        ("remove_stakeholder", (priya.pk,)),
        ("test_message", (priya.pk,)),
        ("add_channel", ()),
        ("channel", (bot.pk,)),
        ("remove_channel", (bot.pk,)),
    ):
        assert post(client, name, *args) == 403
    assert Stakeholder.objects.count() == Channel.objects.count() == 1
    assert not Notification.objects.exists()


def test_strangers_are_sent_to_the_log_in(client: Client, db: None) -> None:
    response = client.get(reverse("alerts:stakeholders"))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("alerts:login"))


def test_a_form_of_another_site_changes_nothing(ada: User, priya: Stakeholder) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    assert post(client, "remove_stakeholder", priya.pk) == 403
    assert Stakeholder.objects.exists()


def test_removing_and_testing_need_a_form(as_ada: Client, priya: Stakeholder, bot: Channel) -> None:
    for name, pk in (("remove_stakeholder", priya.pk), ("test_message", priya.pk), ("remove_channel", bot.pk)):
        assert as_ada.get(reverse(f"alerts:{name}", args=[pk])).status_code == 405


def test_a_stakeholder_is_added_changed_and_removed(as_ada: Client, bot: Channel) -> None:
    assert post(as_ada, "add_stakeholder", name="Omar", group="it", email="omar@example.org") == 302
    omar = Stakeholder.objects.get(name="Omar")
    assert "omar@example.org" in page(as_ada, "stakeholder", omar.pk)
    fields = {"name": "Omar", "group": "management", "email": "", "channel": bot.pk, "slack_channel": "#board"}
    assert post(as_ada, "stakeholder", omar.pk, **fields) == 302
    omar.refresh_from_db()
    assert (omar.group, omar.email, omar.channel, omar.slack_channel) == ("management", "", bot, "#board")
    assert post(as_ada, "remove_stakeholder", omar.pk) == 302
    assert not Stakeholder.objects.exists()
    kinds = list(Activity.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["stakeholder_added", "stakeholder_changed", "stakeholder_removed"]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Omar", "group": "it"},
        {"name": "Omar", "group": "friends", "email": "omar@example.org"},
        {"name": "", "group": "it", "email": "omar@example.org"},
        {"name": "Om\u202ear", "group": "it", "email": "omar@example.org"},
        {"name": "Omar", "group": "it", "email": "omar@example.org\nBcc: everybody@example.org"},
        {"name": "Omar", "group": "it", "email": "not an address"},
    ],
)
def test_somebody_who_cannot_be_reached_or_named_is_refused(as_ada: Client, fields: dict[str, str]) -> None:
    assert post(as_ada, "add_stakeholder", **fields) == 422
    assert not Stakeholder.objects.exists()


@pytest.mark.parametrize("where", ["", "two words", "<!channel>", "@everyone", "#a|b", "#\u202ex", "x" * 81])
def test_a_bot_must_know_where_to_post(as_ada: Client, bot: Channel, where: str) -> None:
    assert post(as_ada, "add_stakeholder", name="Sec", group="it", channel=bot.pk, slack_channel=where) == 422


def test_a_connection_is_kept_encrypted_and_its_secret_never_shown(as_ada: Client, as_vic: Client) -> None:
    assert post(as_ada, "add_channel", name="Acme", kind="bot", secret=TOKEN) == 302
    channel = Channel.objects.get()
    assert channel.secret() == TOKEN
    assert TOKEN.encode() not in bytes(channel.sealed_secret)
    for client, name, args in (
        (as_vic, "stakeholders", ()),
        (as_ada, "stakeholders", ()),
        (as_ada, "channel", (channel.pk,)),
    ):
        assert "secretpart" not in page(client, name, *args)
    assert "secretpart" not in " ".join(f"{each.summary} {each.detail}" for each in Activity.objects.all())


def test_a_secret_left_empty_stays_and_a_new_one_replaces_it(as_ada: Client, bot: Channel) -> None:
    assert post(as_ada, "channel", bot.pk, name="Acme Ltd", kind="bot", secret="") == 302
    bot.refresh_from_db()
    assert (bot.name, bot.secret()) == ("Acme Ltd", TOKEN)
    assert post(as_ada, "channel", bot.pk, name="Acme Ltd", kind="webhook", secret="") == 422
    assert post(as_ada, "channel", bot.pk, name="Acme Ltd", kind="webhook", secret=WEBHOOK) == 302
    bot.refresh_from_db()
    assert bot.secret() == WEBHOOK


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("bot", ""),
        ("bot", WEBHOOK),
        ("bot", "xoxb-123\r\nX-Injected: yes"),
        ("webhook", ""),
        ("webhook", TOKEN),
        ("webhook", "http://hooks.slack.com/services/T0/B0/secretpart"),
        ("webhook", "https://evil.example/services/T0/B0/secretpart"),
        ("webhook", "https://169.254.169.254/secretpart"),
        ("webhook", "https://user:secretpart@hooks.slack.com/"),
        ("carrier pigeon", TOKEN),
    ],
)
def test_a_secret_that_does_not_fit_is_refused_and_not_repeated(as_ada: Client, kind: str, secret: str) -> None:
    response = as_ada.post(reverse("alerts:add_channel"), {"name": "Acme", "kind": kind, "secret": secret})
    assert response.status_code == 422
    assert "secretpart" not in response.content.decode()
    assert not Channel.objects.exists()


def test_a_connection_in_use_cannot_be_removed(as_ada: Client, bot: Channel) -> None:
    room = Stakeholder.objects.create(name="Room", group="it", channel=bot, slack_channel="#it")
    shown = as_ada.post(reverse("alerts:remove_channel", args=[bot.pk]), follow=True).content.decode()
    assert "Acme is how Room hear from us" in shown
    assert Channel.objects.exists()
    room.delete()
    assert post(as_ada, "remove_channel", bot.pk) == 302
    assert not Channel.objects.exists()


def test_a_test_message_shows_what_became_of_it(as_ada: Client, priya: Stakeholder) -> None:
    assert post(as_ada, "test_message", priya.pk) == 302
    assert "✓ Sent" in page(as_ada)
    Notification.objects.update(state="failed", error=f"The mail server refused it: 550 {HOSTILE}")
    shown = page(as_ada)
    assert "× Failed" in shown
    assert HOSTILE not in shown
