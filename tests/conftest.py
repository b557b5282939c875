"""What every test may use: nothing but loopback, a fast password hash, people of each group, a cluster."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings
from django.utils import timezone
from pytest_django import Settings
from pytest_socket import socket_allow_hosts

from alerts.models import Cluster

# The same examples in every run: a test that fails does so for the change that broke it. HYPOTHESIS_PROFILE=default
# looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

pytest_plugins = ["tests.grouping", "tests.left_out"]

RECORDINGS = Path(__file__).parent.parent / "alerts" / "cluster" / "practice" / "recordings"
DATA = Path(__file__).parent / "data"
PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _loopback_only() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session", autouse=True)
def _static_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give servers that live through a whole session a folder for static files, collected or not."""
    with override_settings(STATIC_ROOT=tmp_path_factory.mktemp("static")):
        yield


@pytest.fixture(autouse=True)
def _settings(settings: Settings, tmp_path: Path) -> None:
    """Keep what tests write out of the installation, and make passwords cheap."""
    settings.DATA_DIR = settings.STATIC_ROOT = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.MAILBOX_DIR = None


def make_user(name: str, group: str) -> User:
    user = User.objects.create_user(name, f"{name}@example.org", PASSWORD)
    user.groups.add(Group.objects.get(name=group))
    return user


@pytest.fixture
def ana(db: None) -> User:
    """An analyst: triages, may not revoke."""
    return make_user("ana", "Analyst")


@pytest.fixture
def ben(db: None) -> User:
    """Another analyst."""
    return make_user("ben", "Analyst")


@pytest.fixture
def rex(db: None) -> User:
    """A responder: triages and may revoke."""
    return make_user("rex", "Responder")


@pytest.fixture
def vic(db: None) -> User:
    """A viewer: looks, changes nothing."""
    return make_user("vic", "Viewer")


@pytest.fixture
def ada(db: None) -> User:
    """An administrator: clusters, stakeholders, channels; no revoke."""
    return make_user("ada", "Administrator")


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    session = client.session
    session["password_proved_at"] = timezone.now().isoformat()
    session.save()
    return client


@pytest.fixture
def as_ana(ana: User) -> Client:
    return logged_in(ana)


@pytest.fixture
def as_rex(rex: User) -> Client:
    return logged_in(rex)


@pytest.fixture
def as_vic(vic: User) -> Client:
    return logged_in(vic)


@pytest.fixture
def as_ada(ada: User) -> Client:
    return logged_in(ada)


@pytest.fixture
def cluster(db: None) -> Cluster:
    """A cluster that only sends events."""
    made = Cluster(name="prod-eu")
    made.issue_hook_token()
    made.save()
    return made
