"""What a mail is made of."""

from email.message import EmailMessage

import pytest
from pytest_django import Settings

from alerts.notifications import email
from alerts.notifications.message import Message

LINK = "https://rolecall.example/alerts/7"


def mail(
    subject: str = "A role was created", text: str = "Hello.", to: str = "priya@example.org", key: str = "k1"
) -> EmailMessage:
    message = Message(key=key, thread="RC-7", subject=subject, text=text, link=LINK)
    return email.compose(message, to=to).message()


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


@pytest.fixture(autouse=True)
def _public_url(settings: Settings) -> None:
    settings.PUBLIC_URL = "https://rolecall.example"


def test_the_text_comes_first_and_html_second() -> None:
    assert [each.get_content_type() for each in mail().iter_parts()] == ["text/plain", "text/html"]


def test_a_name_cannot_add_a_header() -> None:
    message = mail(subject="x\r\nBcc: everybody@example.org")
    assert message["Bcc"] is None
    assert message["Subject"] == "x Bcc: everybody@example.org"


def test_the_html_shows_names_and_never_runs_them() -> None:
    html = part(mail(subject="<img src=x>", text='<script>alert(1)</script> "&'), "html")
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &quot;&amp;" in html


def test_the_only_link_leads_to_our_own_page() -> None:
    html = part(mail(text='<a href="http://evil.example">x</a>'), "html")
    assert html.count("href=") == html.count(f'href="{LINK}"') + html.count("href=&quot;http://evil") == 2
    assert part(mail(), "plain").rstrip().endswith(LINK)


def test_one_message_has_one_message_id_however_often_it_is_tried() -> None:
    assert mail()["Message-ID"] == mail()["Message-ID"] == "<k1@rolecall.example>"
    assert mail(key="k2")["Message-ID"] != mail()["Message-ID"]


def test_an_alert_is_one_thread_for_each_recipient() -> None:
    first, second, other = mail(key="k1"), mail(key="k2"), mail(key="k3", to="omar@example.org")
    assert first["References"] == second["References"] == second["In-Reply-To"]
    assert other["References"] != first["References"]
    assert "priya" not in str(first["References"])


def test_it_says_that_a_machine_sent_it() -> None:
    assert (mail()["Auto-Submitted"], mail()["X-Auto-Response-Suppress"]) == ("auto-generated", "All")


def test_an_ipv6_host_makes_a_valid_message_id(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://[::1]:8000"
    message = mail()
    assert message["Message-ID"] == "<k1@[::1]>"
    assert not message["Message-ID"].defects
