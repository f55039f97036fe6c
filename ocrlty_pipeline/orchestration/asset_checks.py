"""Asset checks: what tells a bad batch run or a hollow evaluation at a glance.

They warn and never block: which rate is too low for whom is a person's to say.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from ocrlty_pipeline.evaluation.results import Evaluation
from ocrlty_pipeline.records import BatchHeader

EXTRACTIONS = dg.AssetKey("extractions")
EVALUATION = dg.AssetKey("evaluation")
MAX_ERROR_RATE = 0.05
MIN_SCHEMA_VALID_RATE = 0.95
MIN_PLAUSIBLE_RATE = 0.9

EXTRACTIONS_CHECKS = [
    dg.AssetCheckSpec(
        "error_rate", asset=EXTRACTIONS, description=f"At most {MAX_ERROR_RATE:.0%} of the images failed."
    ),
    dg.AssetCheckSpec(
        "schema_valid_rate",
        asset=EXTRACTIONS,
        description=f"At least {MIN_SCHEMA_VALID_RATE:.0%} of the answers follow the schema.",
    ),
    dg.AssetCheckSpec(
        "plausible",
        asset=EXTRACTIONS,
        description=f"Each check without ground truth holds on at least {MIN_PLAUSIBLE_RATE:.0%} of its images.",
    ),
]
EVALUATION_CHECKS = [
    dg.AssetCheckSpec(
        "every_image_scored", asset=EVALUATION, description="Every image of the batch run has ground truth."
    ),
]


def check_extractions(header: BatchHeader) -> list[dg.AssetCheckResult]:
    """Rates over the images that were attempted; answers that are no JSON count as not following the schema."""
    attempted = header.ok_count + header.error_count
    error_rate = header.error_count / attempted
    valid_rate = header.schema_valid_count / attempted
    return [
        _result(
            EXTRACTIONS, "error_rate", error_rate <= MAX_ERROR_RATE, {"rate": error_rate, "errors": header.error_count}
        ),
        _result(EXTRACTIONS, "schema_valid_rate", valid_rate >= MIN_SCHEMA_VALID_RATE, {"rate": valid_rate}),
        _plausible(header),
    ]


def _plausible(header: BatchHeader) -> dg.AssetCheckResult:
    rates = {name: count.passed / (count.passed + count.violated) for name, count in header.checks.items()}
    return _result(EXTRACTIONS, "plausible", min(rates.values(), default=1.0) >= MIN_PLAUSIBLE_RATE, rates)


def check_evaluation(evaluation: Evaluation) -> list[dg.AssetCheckResult]:
    unscored = len(evaluation.not_scored)
    return [_result(EVALUATION, "every_image_scored", unscored == 0, {"images_without_ground_truth": unscored})]


def _result(asset: dg.AssetKey, name: str, passed: bool, metadata: Mapping[str, float | int]) -> dg.AssetCheckResult:  # noqa: FBT001 -- Dagster's own word
    return dg.AssetCheckResult(
        passed=passed, asset_key=asset, check_name=name, severity=dg.AssetCheckSeverity.WARN, metadata=metadata
    )
