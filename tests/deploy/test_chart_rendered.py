"""The chart as helm renders it: Kubernetes' own schemas take it, and what belongs together fits."""

import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from mindstream import settings
from testbed.chart.tools import HELM, KUBECONFORM, KUBERNETES, are_there, schemas, tool

pytestmark = pytest.mark.skipif(not are_there(), reason="`make test-chart` builds helm and kubeconform, by Go")

CHART = Path(__file__).parents[2] / "deploy/helm/mindstream"
SASL = ("kafka.securityProtocol=SASL_SSL", "kafka.saslMechanism=SCRAM-SHA-512", "kafka.username=shop")
EVERYTHING = (
    *SASL,
    "kafka.password=word",
    "kafka.tls.existingSecret=kafka-tls",
    "kafka.tls.certKey=tls.crt",
    "kafka.tls.keyKey=tls.key",
    "redis.existingSecret=redis-login",
    "mapping=user = 'uid'",
    "settings.MINDSTREAM_IDLE_DAYS=30",
    "secretSettings.MINDSTREAM_SCHEMA_REGISTRY.secret=registry",
    "secretSettings.MINDSTREAM_SCHEMA_REGISTRY.key=url",
    "updater.autoscaling.kind=keda",
    "updater.startAt=beginning",
    "archive.startAt=beginning",
    "api.autoscaling.enabled=true",
    "api.auth.existingSecret=keys",
    "api.auth.writeKeyKey=write-key",
    "api.auth.keysFileKey=keys.toml",
    "retrain.items=/data/products.parquet",
    "retrain.extraArgs={--epochs,3}",
    "monitoring.serviceMonitor.enabled=true",
    "networkPolicy.enabled=true",
    "image.pullSecrets={login}",
)
# What is switched on or off, each alone; then all of it.
SWITCHES: dict[str, tuple[str, ...]] = {
    "defaults": (),
    "stateful": ("updater.kind=StatefulSet",),
    "hpa": ("updater.autoscaling.kind=hpa",),
    "keda": ("updater.autoscaling.kind=keda",),
    "keda-sasl": ("updater.autoscaling.kind=keda", *SASL, "kafka.password=word"),
    "keda-tls": ("updater.autoscaling.kind=keda", "kafka.securityProtocol=SSL"),
    "keda-own": ("updater.autoscaling.kind=keda", *SASL, "updater.autoscaling.authenticationRef=mine"),
    "api-hpa": ("api.autoscaling.enabled=true",),
    "no-budget": ("api.disruptionBudget.enabled=false",),
    "no-archive": ("archive.enabled=false", "archive.keepDays=0", "monitoring.serviceMonitor.enabled=true"),
    "no-retrain": ("retrain.enabled=false",),
    "keys": ("api.auth.apiKey=a", "api.auth.writeKey=b"),
    "own-claim": ("home.existingClaim=shared", "serviceAccount.create=false"),
    "policies": ("networkPolicy.enabled=true", "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.a=b"),
    "everything": EVERYTHING,
}
NOT_OURS = {"kafka-tls", "redis-login", "registry", "keys"}  # Secrets that the switches name

Object = dict[str, Any]


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool(HELM), *words], capture_output=True, text=True, timeout=120)


@cache
def rendered(switch: str) -> str:
    given = [word for one in SWITCHES[switch] for word in ("--set", one)]
    done = helm("template", "shop", str(CHART), "--kube-version", KUBERNETES, *given)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=SWITCHES, scope="module")
def text(request: pytest.FixtureRequest) -> str:
    return rendered(request.param)


@pytest.fixture
def objects(text: str) -> list[Object]:
    return [one for one in yaml.safe_load_all(text) if one]


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Component -> template of its pods."""
    for one in of_kind(objects, "Deployment", "StatefulSet", "CronJob"):
        spec = one["spec"]
        template = spec["jobTemplate"]["spec"]["template"] if one["kind"] == "CronJob" else spec["template"]
        yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def selected(objects: list[Object], labels: Object) -> list[str]:
    """The components whose pods have these labels."""
    return [name for name, template in pods(objects) if labels.items() <= template["metadata"]["labels"].items()]


def test_helm_has_nothing_against_it() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


def test_kubernetes_takes_it(text: str) -> None:
    command = [str(tool(KUBECONFORM)), "-strict", "-summary", "-schema-location", schemas()]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout
    assert "Valid: 0" not in done.stdout


def test_what_is_wrong_would_be_found(objects: list[Object]) -> None:
    """Kubeconform reads it strictly, also kinds that are not Kubernetes' own."""
    for one in objects:
        one["metadata" if one["kind"] in ("ServiceAccount", "Secret", "ConfigMap") else "spec"]["wrong"] = 1
    command = [str(tool(KUBECONFORM)), "-strict", "-summary", "-schema-location", schemas()]
    done = subprocess.run(command, input=yaml.safe_dump_all(objects), capture_output=True, text=True, timeout=120)
    assert f"Valid: 0, Invalid: {len(objects)}, Errors: 0" in done.stdout


def test_every_process_starts_with_the_variables_it_is_given(
    objects: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is unknown, wrong or in vain; what stands in a Secret is some text here."""
    for component, template in pods(objects):
        [container] = template["spec"]["containers"]
        given = {one["name"]: one.get("value", f"{one['name']}-secret") for one in container["env"]}
        assert len(given) == len(container["env"]), component
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            found = settings.load.__wrapped__()
        assert found.bootstrap_servers == "kafka:9092"
        assert settings.misspelt() == []
        if component in ("updater", "archive"):
            assert (found.metrics_host, found.metrics_port) == ("0.0.0.0", 9100)


def test_every_command_and_option_exists(objects: list[Object]) -> None:
    for component, template in pods(objects):
        [container] = template["spec"]["containers"]
        words = [*container["command"], *container.get("args", [])]
        if words[0] == "sh":
            assert words[2] == 'python -m model_export retrain "$@" || [ $? -eq 1 ]'
            words = ["python", "-m", "model_export", "retrain", *words[4:]]
        assert words[:2] == ["python", "-m"]
        group: Any = typer.main.get_command(import_module(f"{words[2]}.__main__").app)
        command = group.commands[words[3]]
        known = {name for parameter in command.params for name in parameter.opts}
        given = {word for word in words[4:] if word.startswith("--")} - {"--epochs"}
        assert given <= known, component


def test_pods_are_locked_up_and_watched(objects: list[Object]) -> None:
    for component, template in pods(objects):
        spec = template["spec"]
        [container] = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["enableServiceLinks"] is False  # else MINDSTREAM_API_PORT would be a service's address
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} == set(container["resources"])
        if component == "retrain":
            continue
        probes = {name: container[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")}
        assert probes == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}
        assert container["readinessProbe"]["httpGet"]["port"] in {port["name"] for port in container["ports"]}


def test_what_is_mounted_is_there(objects: list[Object]) -> None:
    made = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for component, template in pods(objects):
        spec = template["spec"]
        [container] = spec["containers"]
        volumes = {one["name"]: one for one in spec["volumes"]}
        assert {one["name"] for one in container["volumeMounts"]} == set(volumes), component
        secrets = {one["secret"]["secretName"] for one in volumes.values() if "secret" in one}
        secrets |= {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "secretKeyRef" in
                    one.get("valueFrom", {})}  # fmt: skip
        assert {("Secret", name) for name in secrets - NOT_OURS} <= made
        for one in volumes.values():
            if "configMap" in one:
                assert ("ConfigMap", one["configMap"]["name"]) in made
        mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
        assert bool(mounts["/data"].get("readOnly")) == (component in ("updater", "api"))
        for one in container["env"]:
            if one["name"].endswith(("_FILE", "_CAFILE", "_CERTFILE", "_KEYFILE", "_MAPPING")):
                assert one["value"].rpartition("/")[0] in mounts, one


def test_services_monitors_and_budgets_find_their_pods(objects: list[Object]) -> None:
    services = {one["metadata"]["name"]: one for one in of_kind(objects, "Service")}
    for name, service in services.items():
        component = name.rpartition("-")[2]
        assert selected(objects, service["spec"]["selector"]) == [component]
    for monitor in of_kind(objects, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        [found] = [one for one in services.values() if wanted.items() <= one["metadata"]["labels"].items()]
        assert [one["port"] for one in monitor["spec"]["endpoints"]] == [one["name"] for one in found["spec"]["ports"]]
    for budget in of_kind(objects, "PodDisruptionBudget"):
        assert selected(objects, budget["spec"]["selector"]["matchLabels"]) == ["api"]
    for policy in of_kind(objects, "NetworkPolicy"):
        assert len(selected(objects, policy["spec"]["podSelector"]["matchLabels"])) == 1


def test_who_is_scaled_has_no_fixed_number(objects: list[Object]) -> None:
    scaled = {
        one["spec"]["scaleTargetRef"]["name"] for one in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    }
    known = {one["metadata"]["name"]: one for one in of_kind(objects, "Deployment", "StatefulSet")}
    assert scaled <= set(known)
    assert scaled == {name for name, one in known.items() if "replicas" not in one["spec"]}
    referred = {trigger["authenticationRef"]["name"] for one in of_kind(objects, "ScaledObject")
                for trigger in one["spec"]["triggers"] if "authenticationRef" in trigger}  # fmt: skip
    assert referred - {"mine"} == {one["metadata"]["name"] for one in of_kind(objects, "TriggerAuthentication")}


def test_the_scaler_reads_the_group_that_the_updaters_are() -> None:
    objects = [one for one in yaml.safe_load_all(rendered("keda-sasl")) if one]
    [scaler] = of_kind(objects, "ScaledObject")
    [trigger] = scaler["spec"]["triggers"]
    container = dict(pods(objects))["updater"]["spec"]["containers"][0]
    given = {one["name"]: one.get("value") for one in container["env"]}
    asked = trigger["metadata"]
    assert asked["consumerGroup"] == given["MINDSTREAM_GROUP"]
    assert asked["topic"] == given["MINDSTREAM_TOPIC"]
    assert asked["bootstrapServers"] == given["KAFKA_BOOTSTRAP_SERVERS"]
    assert (asked["sasl"], asked["tls"]) == ("scram_sha512", "enable")
    [login] = of_kind(objects, "TriggerAuthentication")
    [secret] = of_kind(objects, "Secret")
    [password] = login["spec"]["secretTargetRef"]
    assert secret["metadata"]["name"] == password["name"]
    assert secret["stringData"][password["key"]] == "word"
    assert login["spec"]["env"] == [
        {"parameter": "username", "name": "KAFKA_SASL_USERNAME", "containerName": "updater"}
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("updater.replicas=5",), "updater.replicas is 5, and kafka.partitions is 4"),
        (("updater.autoscaling.kind=keda", "updater.autoscaling.maxReplicas=9"), "maxReplicas is 9, and kafka.part"),
        (("updater.autoscaling.kind=hpa", "updater.kind=StatefulSet"), "updater.kind is StatefulSet with autoscaling"),
        (("kafka.securityProtocol=SASL_SSL",), "kafka.saslMechanism is empty"),
        (("kafka.password=a", "kafka.existingSecret=b"), "kafka.password and kafka.existingSecret are both set"),
        ((*SASL, "updater.autoscaling.kind=keda"), "neither kafka.password nor kafka.existingSecret is set"),
        (
            (*SASL, "kafka.saslMechanism=GSSAPI", "updater.autoscaling.kind=keda"),
            "kafka.saslMechanism is GSSAPI, which the chart cannot tell KEDA",
        ),
        (("kafka.tls.existingSecret=a", "kafka.tls.certKey=b"), "kafka.tls.keyKey is empty"),
        (("settings.MINDSTREAM_BEHAVIOR=a",), "'MINDSTREAM_BEHAVIOR' not allowed"),
        (("api.autoscaling.enabled=true", "api.autoscaling.minReplicas=11"), "minReplicas is 11 and maxReplicas 10"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(given: tuple[str, ...], said: str) -> None:
    done = helm("template", str(CHART), "--kube-version", KUBERNETES, *(f"--set={one}" for one in given))
    assert done.returncode != 0
    assert said in done.stderr
