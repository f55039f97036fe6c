"""Job `evaluate` in a Dagster instance of its own: the check against the baseline, and the leaderboard."""

from __future__ import annotations

import dagster as dg
import pandas as pd
import pytest

from ocrlty_pipeline import definitions
from ocrlty_pipeline.orchestration.jobs import EVALUATE
from ocrlty_pipeline.orchestration.partitions import batch_partition_key, image_set_partitions
from tests.support.in_process import own_services
from tests.support.scored_runs import TASK, store_image_set, store_run

# Dagster reads it itself when it gives one resource to another.
pytestmark = pytest.mark.filterwarnings("ignore:.*dagster_run:DeprecationWarning")

TRUTH = [{"company": f"Shop {i}", "date": "2026-11-28", "address": "Road", "total": f"{i}.00"} for i in range(20)]


@pytest.fixture
def services(tmp_path, database_url, monkeypatch):
    values = {"DATABASE_URL": database_url, "OCRLTY_HOME": tmp_path / "home", "DATA_ROOT": tmp_path}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    with own_services() as services:
        yield services


@pytest.fixture
def evaluate(services, tmp_path):
    """Evaluate one run through the job; answers the result and the check against the baseline."""
    files = store_image_set(services, tmp_path / "images", TRUTH)
    good = dict(zip(files, TRUTH, strict=True))
    bad = {file: {**values, "total": "9999.00"} for file, values in good.items()}
    store_run(services, "run-good", good, second=1)
    store_run(services, "run-bad", bad, scored=False, second=2)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(image_set_partitions.name, ["s"])
        job = definitions.build_defs().resolve_job_def(EVALUATE)

        def evaluate(run_id):
            result = job.execute_in_process(
                run_config={"ops": {"evaluation": {"config": {"run_id": run_id}}}},
                partition_key=batch_partition_key("s", TASK),
                instance=instance,
                raise_on_error=False,
            )
            (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "no_regression"]
            return result, check

        yield evaluate


def test_without_a_baseline_the_check_passes_and_the_leaderboard_ranks_all_runs(evaluate, services):
    result, check = evaluate("run-bad")
    assert result.success
    assert (check.passed, check.description) == (True, "No baseline set.")
    (made,) = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey("leaderboard")]
    metadata = made.materialization.metadata
    _, _, first, second = metadata["ranking"].value.splitlines()
    assert first.startswith("| 1 | run-good | mock | 20 | 100.0% |")
    assert second.startswith("| 2 | run-bad |")
    assert pd.read_csv(metadata["csv"].value)["run_id"].tolist() == ["run-good", "run-bad"]
    assert metadata["parquet_rel"].value.startswith(f"leaderboards/s/{TASK}/")


def test_a_regression_warns_and_fails_the_job_only_where_the_baseline_blocks(evaluate, services):
    services.baselines.set("s", TASK, "run-good", max_drop=0.01, blocking=False)
    result, check = evaluate("run-bad")
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "more than the 1 allowed" in check.description
    assert check.metadata["baseline"].value == "run-good"

    services.baselines.set("s", TASK, "run-good", max_drop=0.01, blocking=True)
    result, check = evaluate("run-bad")
    assert not result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert [e.asset_key.to_user_string() for e in result.get_asset_materialization_events()] == ["evaluation"]

    result, check = evaluate("run-good")
    assert result.success
    assert check.passed


def test_a_baseline_that_cannot_be_compared_fails_the_check_in_words(evaluate, services):
    services.baselines.set("s", TASK, "run-gone", max_drop=0.01, blocking=False)
    result, check = evaluate("run-good")
    assert result.success
    assert not check.passed
    assert check.description == "Not comparable with the baseline: No batch run with run_id 'run-gone'."
