"""The chart's files as they stand, without helm: values and their schema, names of variables, versions, the page."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
import yaml
from pydantic import SecretStr

from mindstream.settings import Settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/mindstream"
TEMPLATES = "".join(file.read_text(encoding="utf-8") for file in sorted((CHART / "templates").iterdir()))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
# Of the demo, of LMDB and of tests: no pod has them. The last two are secrets, which the chart mounts as files.
NO_POD_HAS = {"MINDSTREAM_LOG", "MINDSTREAM_DEMO_UPDATER", "MINDSTREAM_LMDB_GB", "MINDSTREAM_HELM", "CI"} | {
    "MINDSTREAM_ARCHIVE",  # it lies in the home
    "KAFKA_SASL_PASSWORD",
}


def variables() -> dict[str, bool]:
    """Environment variable -> whether it is a secret."""
    fields = Settings.model_fields.items()
    return {
        str(field.validation_alias or f"MINDSTREAM_{name.upper()}"): SecretStr
        in (field.annotation, *get_args(field.annotation))
        for name, field in fields
    }


def in_templates() -> set[str]:
    """The variables that the templates name."""
    return set(re.findall(r"\b(?:MINDSTREAM|KAFKA|XDG)_[A-Z_]+\b", TEMPLATES))


def leaves(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Dotted name -> default; what anything may stand in is one value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        whole = before + name
        is_branch = isinstance(value, dict) and value and not whole.endswith(("ecurityContext", "resources"))
        found |= leaves(value, f"{whole}.") if is_branch else {whole: value}
    return found


def changed(name: str, value: object) -> dict[str, Any]:
    """The values with another one at a dotted name."""
    values: dict[str, Any] = json.loads(json.dumps(VALUES))
    *way, last = name.split(".")
    place = values
    for one in way:
        place = place[one]
    place[last] = value
    return values


def test_the_defaults_keep_to_the_schema() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
    jsonschema_rs.validate(SCHEMA, VALUES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("updater.kind", "DaemonSet"),
        ("updater.replicas", -1),
        ("updater.autoscaling.kind", "vpa"),
        ("updater.startAt", "yesterday"),
        ("kafka.bootstrapServers", "broker"),
        ("kafka.topic", "clicks and more"),
        ("kafka.partition", 3),
        ("redis.url", "http://redis:6379"),
        ("redis.url", "redis://:word@redis:6379"),
        ("api.auth.apiKey", "with space"),
        ("api.disruptionBudget.maxUnavailable", "half"),
        ("retrain.schedule", "at night"),
        ("settings.MINDSTREAM_BEHAVIOR", "view=1"),
        ("settings.MINDSTREAM_SCHEMA_REGISTRY", "a secret, which is no plain setting"),
        ("secretSettings.MINDSTREAM_SCHEMA_REGISTRY", {"secret": "registry"}),
        ("image.tag", "0.1.0 "),
        ("home.size", "much"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(jsonschema_rs.ValidationError) as refused:
        jsonschema_rs.validate(SCHEMA, changed(name, value))
    named = [*map(str, refused.value.instance_path)]
    *way, last = name.split(".")
    assert named[: len(way)] == way
    assert named[len(way) :] == [last] or last in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis.url", "rediss+cluster://shop@a:7000,b:7001"),
        ("redis.url", "redis+sentinel://a:26379,b:26379/main"),
        ("updater.startAt", "2026-01-31T12:00:00Z"),
        ("settings.MINDSTREAM_BEHAVIOURS", "view=1,*=0"),
        ("secretSettings.MINDSTREAM_SCHEMA_REGISTRY", {"secret": "registry", "key": "url"}),
        ("api.disruptionBudget.maxUnavailable", "25%"),
    ],
)
def test_a_right_value_is_taken(name: str, value: object) -> None:
    jsonschema_rs.validate(SCHEMA, changed(name, value))


def test_every_value_has_its_place_in_the_schema_and_the_other_way_round() -> None:
    def branches(schema: dict[str, Any], before: str = "") -> set[str]:
        own = schema.get("properties", {})
        is_branch = own and before not in ("settings.", "secretSettings.")
        return set().union(*(branches(one, f"{before}{name}.") for name, one in own.items())) if is_branch else {before}

    assert {name.rstrip(".") for name in branches(SCHEMA)} - {"global"} == set(leaves(VALUES))


def test_every_variable_of_the_templates_is_a_setting() -> None:
    assert len(in_templates()) > 20
    assert in_templates() - set(variables()) == set()


def test_every_setting_can_be_given() -> None:
    """By a value of its own, in `settings`, or in `secretSettings` if it is a secret."""
    plain, secret = (set(SCHEMA["properties"][name]["properties"]) for name in ("settings", "secretSettings"))
    assert plain.isdisjoint(secret)
    assert (plain | secret).isdisjoint(in_templates())
    assert plain | secret | in_templates() | NO_POD_HAS == set(variables())
    assert [name for name in plain if variables()[name]] == []
    assert [name for name in secret if not variables()[name]] == []


def test_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["appVersion"] == chart["version"] == project["version"]
    assert VALUES["image"]["tag"] == ""


def test_images_agree() -> None:
    """The templates name images that the Dockerfile makes."""
    named = set(re.findall(r'"mindstream\.image" \(list \. "(\w+)"\)', TEMPLATES))
    made = set(re.findall(r"^FROM base AS (\w+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == {"updater", "api", "train"}
    assert named <= made


def test_the_page_has_every_value_with_its_default() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Za-z.]+)` \| `?([^|]*?)`? \|", page, flags=re.MULTILINE))
    said = {name: json.dumps(value) if isinstance(value, list | bool) else str(value) for name, value in
            leaves(VALUES).items() if not isinstance(value, dict) and value not in ("", [])}  # fmt: skip
    assert set(rows) == set(leaves(VALUES))
    assert {name: rows[name] for name in said} == said
