"""The known actors' pages: written by administrators, from a preset or from nothing, and never by themselves."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from alerts.audit.actor_rule import PRESETS
from alerts.models import Activity, Alert, Cluster, KnownActor
from tests.factories import make_alert


def entered(cluster: Cluster, **changes: object) -> dict[str, object]:
    rule = {"name": "Releases", "username": "ci-deployer", "client": "Helm/3.*", "networks": "10.20.9.0/24, ::1/128"}
    return {"cluster": cluster.pk} | rule | changes


def test_presets_are_offered_and_none_applies(as_ada: Client, cluster: Cluster) -> None:
    page = as_ada.get("/known-actors").content.decode()
    assert "Nobody is known yet" in page
    assert all(f"?preset={preset.key}" in page for preset in PRESETS)
    page = as_ada.get("/known-actors/new?preset=argo-cd").content.decode()
    assert 'value="system:serviceaccount:argocd:argocd-application-controller"' in page
    assert "Check the namespace Argo CD runs in." in page
    assert not KnownActor.objects.exists()


def test_an_administrator_writes_changes_and_switches_a_rule(as_ada: Client, ada: User, cluster: Cluster) -> None:
    assert as_ada.post("/known-actors/new", entered(cluster)).status_code == 302
    known = KnownActor.objects.get()
    assert (known.created_by, known.networks, known.enabled) == (ada, ["10.20.9.0/24", "::1/128"], True)
    make_alert(cluster, known_actor=known)
    page = as_ada.get("/known-actors").content.decode()
    assert "1 alert<" in page
    assert "10.20.9.0/24, ::1/128" in as_ada.get(f"/known-actors/{known.pk}").content.decode()
    as_ada.post(f"/known-actors/{known.pk}", entered(cluster, networks=""))
    as_ada.post(f"/known-actors/{known.pk}/switch", {"enabled": "off"})
    known.refresh_from_db()
    assert (known.networks, known.enabled) == ([], False)
    assert "Known actor: Releases" in as_ada.get(Alert.objects.get().get_absolute_url()).content.decode()
    summaries = [record.summary for record in Activity.objects.filter(kind="known_actor").order_by("pk")]
    assert [summary.split(" the ")[0] for summary in summaries] == ["added", "changed", "switched off"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"username": "system:*"}, "This would fit system:anonymous"),
        ({"username": ""}, "This field is required"),
        ({"networks": "home"}, "home is no network"),
        ({"name": "a\u202eb"}, "cannot be seen"),
        ({"client": "*"}, "Say which client"),
    ],
)
def test_what_would_fit_too_many_is_refused(
    as_ada: Client, cluster: Cluster, changes: dict[str, object], problem: str
) -> None:
    response = as_ada.post("/known-actors/new", entered(cluster, **changes))
    assert response.status_code == 422
    assert problem in response.content.decode()
    assert not KnownActor.objects.exists()


def test_the_same_name_twice_on_a_cluster_is_refused(as_ada: Client, cluster: Cluster) -> None:
    as_ada.post("/known-actors/new", entered(cluster))
    assert as_ada.post("/known-actors/new", entered(cluster)).status_code == 422


def test_others_look_and_change_nothing(as_rex: Client, ada: User, cluster: Cluster) -> None:
    known = KnownActor.objects.create(cluster=cluster, name="x", username="ci", created_by=ada)
    assert as_rex.get("/known-actors").status_code == 200
    for response in (
        as_rex.post("/known-actors/new", entered(cluster)),
        as_rex.post(f"/known-actors/{known.pk}", entered(cluster)),
        as_rex.post(f"/known-actors/{known.pk}/switch", {"enabled": "off"}),
    ):
        assert response.status_code == 403
    known.refresh_from_db()
    assert known.enabled
