"""What a workload may do to its node."""

from typing import Any

import pytest

from alerts.services.investigation.workloads import dangers, traits


def pod(**spec: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [{"image": "web"}]} | spec}


def templated(kind: str, inner: dict[str, Any]) -> dict[str, Any]:
    template = {"spec": {"template": {"spec": inner["spec"]}}}
    return {
        "kind": kind,
        "spec": {"schedule": "* * * * *", "jobTemplate": template} if kind == "CronJob" else template["spec"],
    }


PRIVILEGED = pod(containers=[{"image": "x", "securityContext": {"privileged": True}}])


@pytest.mark.parametrize("manifest", [PRIVILEGED, templated("DaemonSet", PRIVILEGED), templated("CronJob", PRIVILEGED)])
def test_privileged_is_found_wherever_the_pod_is(manifest: dict[str, Any]) -> None:
    assert dangers(manifest) == ["privileged"]


def test_an_init_container_counts_too() -> None:
    assert dangers(pod(initContainers=[{"securityContext": {"privileged": True}}])) == ["privileged"]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"hostPID": True}, "sees the host’s processes"),
        ({"hostNetwork": True}, "uses the host’s network"),
        ({"hostIPC": True}, "shares the host’s memory"),
        ({"volumes": [{"hostPath": {"path": "/etc"}}]}, "mounts the host’s /etc"),
        (
            {"containers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
            "adds the capability SYS_ADMIN",
        ),
    ],
)
def test_every_way_to_the_host_is_found(spec: dict[str, Any], found: str) -> None:
    assert dangers(pod(**spec)) == [found]


def test_an_ordinary_pod_has_none() -> None:
    assert dangers(pod(hostPID=False, volumes=[{"emptyDir": {}}])) == []


@pytest.mark.parametrize(
    "odd", [{}, {"spec": None}, {"spec": {"containers": "none"}}, {"spec": {"volumes": [None, 7]}}]
)
def test_odd_manifests_are_read_as_far_as_they_go(odd: dict[str, Any]) -> None:
    assert dangers(odd) == []
    assert traits(odd) == []


def test_traits_tell_schedule_account_image_and_command() -> None:
    inner = pod(serviceAccountName="bot", containers=[{"image": "alpine", "command": ["sh", "-c", "id"]}])
    assert traits(templated("CronJob", inner)) == ["at * * * * *", "runs as bot", "image alpine, command “sh -c id”"]


def test_words_that_are_none_break_nothing() -> None:
    assert traits(pod(containers=[{"image": "x", "command": True, "args": {"a": 1}}])) == ["image x"]
