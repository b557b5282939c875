from io import StringIO
from itertools import islice

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.models import BinaryField
from pytest_django import Settings

from alerts.models import Batch, Channel, Cluster, DamagedItem
from alerts.services import archive, inbox, rotation

NEW = Fernet.generate_key().decode()


@pytest.fixture
def secrets(cluster: Cluster) -> None:
    """Something of every kind, under the key that was."""
    cluster.set_api_token("the cluster's token")
    cluster.set_restorer_token("the restorer's token")
    cluster.save()
    channel = Channel(name="Workspace", kind="bot")
    channel.set_secret("xoxb-secret")
    channel.save()
    for number in range(3):
        inbox.store(cluster, f"batch {number}".encode())
    DamagedItem.objects.create(
        cluster=cluster, sha256="0" * 64, position=0, reason="", size=1, body=archive.pack(b"damaged")
    )


def rotate() -> str:
    said = StringIO()
    call_command("rotate_credentials", stdout=said)
    return said.getvalue()


def test_afterwards_the_new_key_alone_opens_everything(secrets: None, settings: Settings) -> None:
    settings.CREDENTIAL_KEYS = [NEW, *settings.CREDENTIAL_KEYS]
    said = rotate()
    assert "stored batches: 3 encrypted anew, 0 were already." in said
    assert "can now be taken out" in said

    settings.CREDENTIAL_KEYS = [NEW]
    assert Cluster.objects.get().api_token() == "the cluster's token"
    assert Cluster.objects.get().restorer_token() == "the restorer's token"
    assert Channel.objects.get().secret() == "xoxb-secret"
    assert sorted(map(inbox.body, Batch.objects.all())) == [b"batch 0", b"batch 1", b"batch 2"]
    assert inbox.body(DamagedItem.objects.get()) == b"damaged"


def test_every_field_that_is_kept_encrypted_is_rotated() -> None:
    binary = {
        (model, field.name)
        for model in apps.get_app_config("alerts").get_models()
        for field in model._meta.get_fields()
        if isinstance(field, BinaryField) or field.name.startswith("sealed_")
    }
    assert {(model, field) for _, model, field, _ in rotation.KEPT_ENCRYPTED} == binary


def test_interrupted_it_goes_on_where_it_was(secrets: None, settings: Settings) -> None:
    settings.CREDENTIAL_KEYS = [NEW, *settings.CREDENTIAL_KEYS]
    (batches,) = (kind for kind in rotation.kinds() if kind.title == "stored batches")
    assert list(islice(batches.rotate(), 2)) == [True, True]
    assert "stored batches: 1 encrypted anew, 2 were already." in rotate()
    assert "stored batches: 0 encrypted anew, 3 were already." in rotate()


def test_what_fits_no_key_is_left_as_it_is_and_said(secrets: None, settings: Settings) -> None:
    before = bytes(Channel.objects.get().sealed_secret)
    settings.CREDENTIAL_KEYS = [NEW]
    inbox.store(Cluster.objects.get(), b"under the new key")
    with pytest.raises(CommandError, match="7 things fit none of the keys"):
        rotate()
    assert bytes(Channel.objects.get().sealed_secret) == before
