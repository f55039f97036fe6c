"""Paths of ground truths that a run is scored against: a refusal names the field, and no place on the disk."""

from __future__ import annotations

import pytest

from tests.support.requests import error_of, new_id
from tests.support.stored_runs import store_image_set, store_run

SCORE = "/v1/debug/eval/batch_vs_gt"


@pytest.fixture(scope="module")
def run_id(stored):
    run_id, name = new_id("run"), new_id("set")
    store_image_set(stored, name, ["0.jpg"], owner="dora")
    store_run(stored, run_id, {"0.jpg": {"total": "1.00"}}, owner="dora", image_set=name)
    return run_id


def test_a_path_that_cannot_be_read_is_refused_without_the_service_s_own_paths(dora, service, run_id):
    loop, folder = new_id("loop"), new_id("folder")
    (service.data / loop).symlink_to(loop)
    (service.data / folder).mkdir()
    (service.data / f"out-{folder}.json").symlink_to(service.home / "elsewhere.json")
    for path in ("no-such.json", "../outside.json", f"out-{folder}.json", loop, folder, f"{loop}/x.json"):
        error = error_of(dora.post(SCORE, json={"run_id": run_id, "gt_path": path}), 422, "validation_error")
        assert error["details"]["errors"][0]["loc"] == ["body", "gt_path"]
        assert str(service.data.parent) not in str(error)
