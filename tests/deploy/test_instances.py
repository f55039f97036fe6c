"""The instances under deploy/ and at the top load, each with its launcher, and keep what every deployment needs.

The chart writes an instance of its own, from values that must say the same.
"""

import re
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

ROOT = Path(__file__).parents[2]
VARIANTS = {
    "dagster.yaml": "WarmRunLauncher",
    "deploy/celery/dagster.yaml": "CeleryLauncher",
    "deploy/k8s/dagster.yaml": "K8sLauncher",
}
VALUES = yaml.safe_load((ROOT / "deploy/k8s/values.yaml").read_text())
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {}}]
"""


def load(path, home):
    """The instance of a configuration; a cluster's own address is replaced by a file's, for there is no cluster."""
    configuration = yaml.safe_load((ROOT / path).read_text())
    launcher = configuration["run_launcher"].get("config", {})
    if launcher.get("load_incluster_config"):
        (home / "kubeconfig").write_text(KUBECONFIG)
        launcher |= {"load_incluster_config": False, "kubeconfig_file": str(home / "kubeconfig")}
    (home / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    return dg.DagsterInstance.from_config(str(home))


@pytest.mark.parametrize(("path", "launcher"), VARIANTS.items())
def test_each_variant_loads_with_its_launcher(path, launcher, tmp_path, empty_database_url, monkeypatch):
    variables = {
        "DAGSTER_POSTGRES_URL": empty_database_url.replace("+psycopg", "+psycopg2"),
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/1",
        "RUN_IMAGE": "ocrlty",
        "RUN_NAMESPACE": "ocrlty",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with load(path, tmp_path) as instance:
        assert type(instance.run_launcher).__name__ == launcher
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.telemetry_enabled
        for kind in (InstigatorType.SCHEDULE, InstigatorType.SENSOR):
            days = instance.get_tick_retention_settings(kind)
            # The daemon keeps those for ever whose number is below 0.
            assert 0 < days[TickStatus.SKIPPED] < days[TickStatus.FAILURE] < days[TickStatus.SUCCESS]
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs > 1


def snaked(value):
    """Values of the chart with names as Dagster's own: `purgeAfterDays` is `purge_after_days`."""
    if isinstance(value, dict):
        return {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower(): snaked(inner) for name, inner in value.items()}
    return [snaked(inner) for inner in value] if isinstance(value, list) else value


def test_the_chart_keeps_the_ui_within_the_cluster():
    assert VALUES["dagsterWebserver"]["service"]["type"] == "ClusterIP"
    assert VALUES["ingress"] == {"enabled": False}


def test_the_chart_s_instance_is_that_of_the_file():
    values, instance = snaked(VALUES), yaml.safe_load((ROOT / "deploy/k8s/dagster.yaml").read_text())
    assert values["retention"] == {"enabled": True, **instance["retention"]}
    assert values["telemetry"] == instance["telemetry"]
    daemon = values["dagster_daemon"]
    assert daemon["run_monitoring"] == instance["run_monitoring"]
    assert daemon["run_retries"] == instance["run_retries"]
    queue = {**instance["run_coordinator"]["config"], **instance["concurrency"]["runs"]}
    assert daemon["run_coordinator"]["config"]["queued_run_coordinator"] == queue
    launcher, of_file = values["run_launcher"]["config"]["custom_run_launcher"], instance["run_launcher"]
    # The chart has places and names of its own.
    own = {"job_image", "job_namespace", "dagster_home"}
    assert launcher["config"].keys() == of_file["config"].keys()
    assert {**launcher, "config": of_file["config"]} == of_file
    assert all(launcher["config"][name] == value for name, value in of_file["config"].items() if name not in own)


def test_the_chart_s_webserver_and_daemon_have_the_image_that_has_the_launcher():
    [code] = VALUES["dagster-user-deployments"]["deployments"]
    assert VALUES["dagsterWebserver"]["image"] == VALUES["dagsterDaemon"]["image"] == code["image"]
