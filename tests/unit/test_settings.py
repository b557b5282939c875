"""What is written down beside the settings says the same as they do."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from triage import valkey

ROOT = Path(__file__).parent.parent.parent
SETTINGS = set(re.findall(r'env\.\w+\(\s*"(\w+)"', (ROOT / "triage" / "settings.py").read_text()))
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
PINNED = re.compile(r"[\w./-]+:\d+\.\d+\.?\d*(-[\w.-]+)?")
DESCRIBED = re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def test_every_setting_is_described_in_the_example_and_nothing_else_is() -> None:
    asked_for_by_compose = set(re.findall(r"\$\{(\w+)", COMPOSE_TEXT))
    assert sorted(DESCRIBED) == sorted(SETTINGS | asked_for_by_compose)


def test_every_line_of_the_example_has_an_explanation_above_it() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()

    settings = [number for number, line in enumerate(lines) if re.match(r"#?[A-Z_]+=", line)]
    assert [lines[number] for number in settings if not lines[number - 1].startswith("# ")] == []


def test_compose_runs_web_worker_and_beat_with_their_database_and_broker() -> None:
    assert set(COMPOSE["services"]) == {"web", "worker", "beat", "valkey", "postgresql"}
    assert set(OURS) == {"web", "worker", "beat"}


def test_compose_sets_only_what_the_settings_know() -> None:
    for service in OURS.values():
        assert set(service["environment"]) <= SETTINGS


@pytest.mark.parametrize("name", OURS)
def test_everything_that_the_example_describes_reaches_the_containers(name: str) -> None:
    service = OURS[name]
    files = {each if isinstance(each, str) else each["path"] for each in service.get("env_file", [])}
    handed_on = {key for key, value in service["environment"].items() if str(value).startswith(f"${{{key}:")}
    # What is said beside the file wins over it.
    of_its_own = service["environment"].keys() - handed_on
    reaching = (set(DESCRIBED) if ".env" in files else handed_on) - of_its_own
    assert set(DESCRIBED) - reaching == {"DATA_DIR", "DATABASE_URL", "BROKER_URL"}


def test_a_container_has_its_static_files_where_the_image_does() -> None:
    (place,) = re.findall(r"^WORKDIR (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {service["environment"]["DATA_DIR"] for service in OURS.values()} == {f"{place}/.data"}


@pytest.mark.parametrize("image", [service["image"] for service in COMPOSE["services"].values()])
def test_compose_pins_every_image(image: str) -> None:
    assert PINNED.fullmatch(image)


def test_the_dockerfile_pins_its_base() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert bases
    assert all(PINNED.fullmatch(base) for base in bases)


def test_the_procfile_runs_the_same_processes_as_compose() -> None:
    assert set(re.findall(r"^(\w+):", (ROOT / "Procfile").read_text(), re.MULTILINE)) == set(OURS)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_file_has_hashes_for_everything_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()

    pinned = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert all(re.match(r"[\w.\[\],-]+==\S+", package) and "--hash=sha256:" in package for package in pinned)
    assert "://" not in text
    assert "--index" not in text


def test_every_direct_dependency_is_locked_and_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    dependencies = tomllib.loads(text)["project"]["dependencies"]
    locked = set(re.findall(r"^([\w.-]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))

    for dependency in dependencies:
        assert re.split(r"[\[<>=]", dependency)[0] in locked
        assert re.search(re.escape(f'"{dependency}",') + r" +# \w", text)
    assert len(dependencies) <= 20


def test_every_part_of_the_app_is_bound_by_the_import_contracts() -> None:
    parts = {f"alerts.{path.stem}" for path in (ROOT / "alerts").iterdir() if (path / "__init__.py").is_file()} | {
        f"alerts.{path.stem}" for path in (ROOT / "alerts").glob("[!_]*.py")
    }
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    bound = {contract["name"]: set(contract.get("source_modules", [])) for contract in contracts}

    unbound = {"alerts.apps", "alerts.migrations"}
    assert parts - bound["Only alerts.cluster speaks to Kubernetes"] - unbound == {"alerts.cluster"}
    assert parts - bound["Only alerts.tasks and triage.celery know Celery"] - unbound == {"alerts.tasks"}


def test_the_socket_is_in_the_data_directory() -> None:
    assert valkey.socket(Path("/var/lib/rolecall")) == Path("/var/lib/rolecall/valkey.sock")


@pytest.mark.parametrize("directory", [Path("/srv", "long" * 30), Path("/srv/with space#and%41")])
def test_a_path_that_no_socket_or_no_url_can_hold_is_replaced_by_a_short_one(directory: Path) -> None:
    path = valkey.socket(directory)

    assert re.fullmatch(r"[A-Za-z0-9/._-]{1,100}", str(path))
    assert path == valkey.socket(directory)
    assert path != valkey.socket(directory / "other")
