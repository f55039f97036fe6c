"""`leaderboard`: every batch run of an image set through a task, ranked."""

import dagster as dg

from ocrlty_pipeline.leaderboards import leaderboard as ranked_runs
from ocrlty_pipeline.leaderboards import save_leaderboard
from ocrlty_pipeline.orchestration import descriptions
from ocrlty_pipeline.orchestration.asset_checks import EVALUATION
from ocrlty_pipeline.orchestration.failures import as_dagster_failures
from ocrlty_pipeline.orchestration.metadata import leaderboard_markdown
from ocrlty_pipeline.orchestration.partitions import split_batch_key
from ocrlty_pipeline.orchestration.resources import OcrltyResource

GROUP = "evaluation"


def build_leaderboard(partitions: dg.MultiPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset over the partitions that the tasks at hand make."""

    @dg.asset(
        partitions_def=partitions,
        deps=[EVALUATION],
        group_name=GROUP,
        kinds={"pandas", "csv", "parquet"},
        description=descriptions.LEADERBOARD,
    )
    def leaderboard(context: dg.AssetExecutionContext, ocrlty: OcrltyResource) -> dg.MaterializeResult[None]:
        services = ocrlty.services
        image_set, task_id = split_batch_key(context.partition_key)
        with as_dagster_failures():
            table = ranked_runs(services, image_set, task_id)
            keys = save_leaderboard(services.store, table, image_set, task_id)
        return dg.MaterializeResult(
            metadata={
                "runs": len(table),
                "best_run": str(table["run_id"].iloc[0]) if len(table) else "",
                "ranking": dg.MetadataValue.md(leaderboard_markdown(table)),
                **{f"{name}_rel": rel for name, rel in keys.items()},
                **{name: dg.MetadataValue.path(services.store.full_ref(rel)) for name, rel in keys.items()},
            }
        )

    return leaderboard
