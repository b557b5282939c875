import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from pytest_django import Settings

from alerts.models import Activity, Cluster
from tests.cluster.control_plane.certificates import Authority

CERTIFICATE_REQUESTS = ["certificatesigningrequests", "certificatesigningrequests/approval"]


def add_cluster(name: str = "prod-eu", *options: str) -> str:
    out = io.StringIO()
    call_command("add_cluster", name, *options, stdout=out)
    return out.getvalue()


def as_json(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(add_cluster("prod-eu", "--json", *options))
    return found


def file(folder: Path, name: str, content: str) -> str:
    path = folder / name
    path.write_text(content)
    return str(path)


@pytest.fixture(autouse=True)
def _public_address(db: None, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://rolecall.example"


def test_a_new_cluster_gets_a_token_that_its_hook_accepts() -> None:
    token = as_json()["token"]
    assert Cluster.objects.get(name="prod-eu").accepts(token)
    assert Activity.objects.get().summary == "added cluster prod-eu"


def test_the_kubeconfig_is_one_that_an_api_server_reads() -> None:
    found = as_json()
    config = yaml.safe_load(found["kubeconfig"])
    assert config["clusters"][0]["cluster"] == {"server": "https://rolecall.example/hook/prod-eu"}
    assert config["users"][0]["user"] == {"token": found["token"]}
    context = config["contexts"][0]
    assert context["name"] == config["current-context"]
    assert (context["context"]["cluster"], context["context"]["user"]) == (
        config["clusters"][0]["name"],
        config["users"][0]["name"],
    )


def test_the_policy_keeps_bodies_of_roles_bindings_and_certificate_requests_and_of_nothing_else() -> None:
    policy = yaml.safe_load(as_json()["audit_policy"])
    assert policy["omitStages"] == ["RequestReceived"]
    assert policy["omitManagedFields"] is True
    whole = [rule for rule in policy["rules"] if rule["level"] not in {"None", "Metadata"}]
    assert [(rule["level"], rule["resources"]) for rule in whole] == [
        ("RequestResponse", [{"group": "rbac.authorization.k8s.io"}]),
        ("RequestResponse", [{"group": "certificates.k8s.io", "resources": CERTIFICATE_REQUESTS}]),
    ]
    assert policy["rules"][-1] == {"level": "Metadata"}


def test_people_see_the_token_once_and_both_files() -> None:
    text = add_cluster()
    for part in ("Token, shown this once", "kind: Config", "kind: Policy", "--audit-webhook-batch-max-wait"):
        assert part in text


def test_over_plain_http_a_warning_says_that_no_token_would_come(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    assert as_json()["url"] == "https://127.0.0.1:8000/hook/prod-eu"
    assert "over https only" in capsys.readouterr().err


def test_rotating_keeps_the_old_token_for_the_change_over() -> None:
    old = as_json()["token"]
    new = as_json("--rotate-token")["token"]
    cluster = Cluster.objects.get()
    assert cluster.accepts(old)
    assert cluster.accepts(new)
    assert Activity.objects.last() == Activity.objects.get(summary="gave a new token to cluster prod-eu")


def test_the_way_to_its_api_is_kept_and_the_token_only_encrypted(tmp_path: Path) -> None:
    authority = file(tmp_path, "ca.pem", Authority(tmp_path, "ca").pem)
    token = file(tmp_path, "token", "s3cr3t\n")
    options = (
        "--api-address",
        "https://10.0.0.1:6443",
        "--certificate-authority",
        authority,
        "--api-token-file",
        token,
    )
    add_cluster("prod-eu", *options, "--readable", "--revocable", "--private-address-allowed")
    cluster = Cluster.objects.get()
    assert (cluster.api_address, cluster.api_token()) == ("https://10.0.0.1:6443", "s3cr3t")
    assert "BEGIN CERTIFICATE" in cluster.certificate_authority
    assert (cluster.readable, cluster.revocable, cluster.private_address_allowed) == (True, True, True)
    assert b"s3cr3t" not in bytes(cluster.sealed_api_token or b"")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["Prod EU"], "Use lower-case letters, digits and hyphens."),
        (["prod-eu", "--readable"], "need --api-address and --api-token-file"),
        (["prod-eu", "--rotate-token"], "There is no cluster prod-eu."),
        (["prod-eu", "--api-address", "nonsense"], "Enter a valid URL."),
        (["prod-eu", "--certificate-authority", "/nowhere"], "/nowhere cannot be read"),
        (["prod-eu", "--certificate-authority", __file__], "holds no certificate"),
        (["prod-eu", "--api-token-file", "/"], "/ cannot be read"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(options: list[str], problem: str) -> None:
    with pytest.raises(CommandError, match=problem) as error:
        add_cluster(*options)
    assert error.value.returncode == 2
    assert not Cluster.objects.exists()


def test_a_cluster_that_exists_is_not_replaced() -> None:
    token = as_json()["token"]
    with pytest.raises(CommandError, match="already"):
        add_cluster()
    assert Cluster.objects.get().accepts(token)


def test_an_account_may_be_named_that_pushes(settings: Settings) -> None:
    settings.HOOK_JWKS_URL = "https://signer.example/certs"
    mail = "push@p-1.iam.gserviceaccount.com"
    text = add_cluster("prod-eu", "--push-account", mail)
    assert f"Pushes are accepted of {mail}, for the audience https://rolecall.example/hook/prod-eu\n" in text
    add_cluster("prod-eu", "--rotate-token")
    assert Cluster.objects.get().push_account == mail


def test_an_account_that_pushes_is_a_mail_address() -> None:
    with pytest.raises(CommandError, match="email address"):
        add_cluster("prod-eu", "--push-account", "push")
    assert not Cluster.objects.exists()


def test_what_is_missing_for_pushes_is_said(capsys: pytest.CaptureFixture[str], settings: Settings) -> None:
    settings.HOOK_JWKS_URL = ""
    add_cluster("prod-eu", "--push-account", "push@p-1.iam.gserviceaccount.com")
    assert "HOOK_JWKS_URL is not set" in capsys.readouterr().err
