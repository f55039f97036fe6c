"""`no_regression`: an evaluation held against the baseline that a person set for its image set and task.

It warns; where the baseline is blocking, it fails the step, and what depends on the evaluation is not made. The rule is
the one of `ocrlty gate`, over the images that both runs scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ocrlty_pipeline.baselines import Baseline
from ocrlty_pipeline.comparing import compare_evaluation
from ocrlty_pipeline.errors import OcrltyError
from ocrlty_pipeline.evaluation.comparison.gate import gate
from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.orchestration.asset_checks import EVALUATION
from ocrlty_pipeline.orchestration.links import comparison_link, run_links
from ocrlty_pipeline.services import Services

_NAME = "no_regression"
# Dagster lets a failure block by its severity, ERROR, which is the baseline's to say.
NO_REGRESSION = dg.AssetCheckSpec(
    _NAME,
    asset=EVALUATION,
    blocking=True,
    description="Micro F1 fell no further behind the baseline of this partition than `ocrlty baseline set` allows.",
)


def check_baseline(services: Services, evaluation: Evaluation) -> dg.AssetCheckResult:
    """Compare with the partition's baseline; passed where none is set, failed where it cannot be compared."""
    baseline = services.baselines.get(evaluation.image_set, evaluation.task_id)
    if baseline is None:
        return dg.AssetCheckResult(passed=True, asset_key=EVALUATION, check_name=_NAME, description="No baseline set.")
    try:
        comparison = compare_evaluation(services, baseline.run_id, evaluation)
        outcome = gate(comparison, baseline.max_drop)
    except OcrltyError as error:
        return _result(baseline, passed=False, description=f"Not comparable with the baseline: {error.message}")
    facts = {
        "verdict": comparison.verdict,
        "in_words": comparison.words,
        "images": comparison.paired,
        "drop": outcome.drop,
        "compare": comparison_link(services.settings, baseline.run_id, evaluation.run_id),
        "compare_command": f"ocrlty report {evaluation.run_id} --against {baseline.run_id}",
        **run_links(services, baseline_run=baseline.run_id),
    }
    return _result(baseline, passed=outcome.passed, description=outcome.reason, facts=facts)


def _result(
    baseline: Baseline, *, passed: bool, description: str, facts: Mapping[str, Any] | None = None
) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if baseline.blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=EVALUATION,
        check_name=_NAME,
        severity=severity,
        description=description,
        metadata={"baseline": baseline.run_id, "max_drop": baseline.max_drop, **(facts or {})},
    )
