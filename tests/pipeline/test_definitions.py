"""The code location as Dagster loads it: a change to the graph is seen here."""

from ocrlty_pipeline import definitions


def test_the_code_location_loads_whole_with_these_assets_jobs_and_checks():
    repository = definitions.defs().get_repository_def()
    repository.load_all_definitions()
    graph = repository.asset_graph
    parents = {
        key: {parent.to_user_string() for parent in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()
    }
    assert {key.to_user_string(): names for key, names in parents.items()} == {
        "image_set": set(),
        "ground_truth": {"image_set"},
        "extractions": {"image_set"},
        "evaluation": {"extractions", "ground_truth"},
        "leaderboard": {"evaluation"},
        "extracts": set(),
    }
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {"extract", "ingest", "batch_extract", "batch_extract_sharded", "batch_rerun", "evaluate", "prune"}
    assert {sensor.name for sensor in repository.sensor_defs} == {"inbox", "webhooks"}
    assert {key.name for key in graph.asset_check_keys} == {
        "error_rate",
        "schema_valid_rate",
        "plausible",
        "every_image_scored",
        "no_regression",
    }
