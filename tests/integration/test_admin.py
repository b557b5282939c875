"""Connecting clusters in the administration."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from alerts.models import Activity, Cluster

TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.secret"


@pytest.fixture
def as_root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def fields(cluster: Cluster, **changes: str) -> dict[str, str]:
    return {"name": cluster.name, "api_address": "https://prod.example:6443", "readable": "on"} | changes


def test_a_token_is_stored_encrypted_and_never_shown_again(as_root: Client, cluster: Cluster) -> None:
    address = f"/administration/alerts/cluster/{cluster.pk}/change/"
    assert as_root.post(address, fields(cluster, api_token=TOKEN)).status_code == 302
    cluster.refresh_from_db()
    assert cluster.api_token() == TOKEN
    assert TOKEN.encode() not in bytes(cluster.sealed_api_token or b"")
    assert TOKEN not in as_root.get(address).content.decode()
    assert "api_token" in Activity.objects.get().summary
    assert TOKEN not in Activity.objects.get().summary


def test_saving_without_a_token_keeps_the_stored_one(as_root: Client, cluster: Cluster) -> None:
    address = f"/administration/alerts/cluster/{cluster.pk}/change/"
    as_root.post(address, fields(cluster, api_token=TOKEN))
    as_root.post(address, fields(cluster, revocable="on"))
    cluster.refresh_from_db()
    assert (cluster.api_token(), cluster.revocable) == (TOKEN, True)


def test_a_stored_token_never_goes_to_a_new_address(as_root: Client, cluster: Cluster) -> None:
    address = f"/administration/alerts/cluster/{cluster.pk}/change/"
    as_root.post(address, fields(cluster, api_token=TOKEN))
    page = as_root.post(address, fields(cluster, api_address="https://elsewhere.example")).content.decode()
    assert "enter the token again" in page
    cluster.refresh_from_db()
    assert cluster.api_address == "https://prod.example:6443"


def test_the_token_that_restores_is_stored_encrypted_bound_to_its_address_and_can_be_forgotten(
    as_root: Client, cluster: Cluster
) -> None:
    address = f"/administration/alerts/cluster/{cluster.pk}/change/"
    as_root.post(address, fields(cluster, api_token="first", restorer_token=TOKEN, second_person_required="on"))
    cluster.refresh_from_db()
    assert (cluster.restorer_token(), cluster.restorable, cluster.second_person_required) == (TOKEN, True, True)
    assert TOKEN.encode() not in bytes(cluster.sealed_restorer_token or b"")
    assert TOKEN not in as_root.get(address).content.decode()
    moved = fields(cluster, api_address="https://elsewhere.example", api_token="second")
    assert "enter this token again too" in as_root.post(address, moved).content.decode()
    assert as_root.post(address, moved | {"forget_restorer": "on"}).status_code == 302
    cluster.refresh_from_db()
    assert (cluster.api_address, cluster.restorable) == ("https://elsewhere.example", False)


def test_people_of_other_groups_stay_out(as_rex: Client, as_ana: Client, cluster: Cluster) -> None:
    for client in (as_rex, as_ana):
        assert client.get("/administration/alerts/cluster/").status_code == 302


def test_the_account_that_pushes_is_entered_there(as_root: Client, cluster: Cluster) -> None:
    address = f"/administration/alerts/cluster/{cluster.pk}/change/"
    mail = "push@p-1.iam.gserviceaccount.com"
    assert as_root.post(address, fields(cluster, api_token=TOKEN, push_account=mail)).status_code == 302
    cluster.refresh_from_db()
    assert cluster.push_account == mail
