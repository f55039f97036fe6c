"""Ground truths and drafts: versions that no two writers share, and none that come back from the dead."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ocrlty_pipeline.errors import (
    ArtifactConflictError,
    ArtifactNotFoundError,
    GroundTruthError,
    ImageSetError,
    StaleVersionError,
)
from ocrlty_pipeline.ground_truth_registry import GivenGroundTruth
from ocrlty_pipeline.scoring import score_batch
from tests.support.stored_runs import ANSWER, store_run


@pytest.fixture
def given(image_set):
    content = [{"file": name, "company": "ACME"} for name in image_set[:3]]
    return GivenGroundTruth(image_set="set", content=content, image_key="file", source="gt.json", owner="dora")


def edited(given, company):
    return replace(given, content=[{**entry, "company": company} for entry in given.content])


def listed(services, **narrowed):
    return [(row.image_set, row.version) for row in services.ground_truth_index.page(limit=9, **narrowed)]


def run(awaitable):
    return asyncio.run(awaitable)


def test_each_edit_is_a_version_and_every_version_can_be_read(store_services, given):
    truths = store_services.ground_truths
    created = run(truths.create(given))
    assert (created.stored.version, created.stored.owner_key_id) == (1, "dora")
    assert (len(created.match.by_file), len(created.match.unmatched_files)) == (3, 1)
    second = run(truths.replace(replace(edited(given, "Other"), owner="root"), expected=1)).stored
    assert (second.version, second.owner_key_id) == (2, "dora")
    assert run(truths.versions.read("set", 1)).content == given.content
    assert run(truths.versions.read("set")).content[0]["company"] == "Other"
    assert run(store_services.image_sets.load_ground_truth("set")).version == 2
    assert run(truths.versions.numbers("set")) == [1, 2]
    assert listed(store_services) == [("set", 2)]


def test_the_same_content_again_is_no_new_version(store_services, given):
    run(store_services.ground_truths.create(given))
    assert run(store_services.ground_truths.replace(given)).stored.version == 1


def test_an_edit_of_what_somebody_else_has_edited_is_refused(store_services, given):
    truths = store_services.ground_truths
    run(truths.create(given))
    run(truths.replace(edited(given, "theirs"), expected=1))
    with pytest.raises(StaleVersionError, match="version 2, not 1"):
        run(truths.replace(edited(given, "mine"), expected=1))
    assert run(truths.versions.read("set")).content[0]["company"] == "theirs"


def test_of_edits_at_the_same_time_one_is_taken(store_services, given):
    truths = store_services.ground_truths
    run(truths.create(given))

    async def race():
        edits = [truths.replace(edited(given, f"writer {n}"), expected=1) for n in range(5)]
        return await asyncio.gather(*edits, return_exceptions=True)

    outcomes = run(race())
    assert sum(isinstance(outcome, StaleVersionError) for outcome in outcomes) == 4
    assert run(truths.versions.numbers("set")) == [1, 2]


def test_a_ground_truth_is_created_once(store_services, given):
    run(store_services.ground_truths.create(given))
    with pytest.raises(ArtifactConflictError, match="edit it, or delete it"):
        run(store_services.ground_truths.create(given))


def test_nothing_is_stored_of_what_fits_no_image_or_no_set(store_services, given):
    truths = store_services.ground_truths
    with pytest.raises(GroundTruthError):
        run(truths.create(replace(given, content=[{"file": "other.jpg"}])))
    with pytest.raises(ImageSetError):
        run(truths.create(replace(given, image_set="unknown")))
    with pytest.raises(ArtifactNotFoundError):
        run(truths.replace(given))
    assert listed(store_services) == []


def test_a_deleted_ground_truth_is_gone_and_its_numbers_are_not_given_again(store_services, given):
    truths = store_services.ground_truths
    run(truths.create(given))
    with pytest.raises(StaleVersionError):
        run(truths.versions.remove("set", expected=3))
    run(truths.versions.remove("set", expected=1))
    assert listed(store_services) == []
    assert run(store_services.image_sets.load_ground_truth("set")) is None
    for version in (None, 1, 2):
        with pytest.raises(ArtifactNotFoundError):
            run(truths.versions.read("set", version))
    with pytest.raises(ArtifactNotFoundError):
        run(truths.versions.remove("set"))
    assert run(truths.create(given)).stored.version == 3
    assert run(store_services.image_sets.load_ground_truth("set")).version == 3
    assert listed(store_services) == [("set", 3)]


def test_what_is_imported_is_listed_as_well(store_services, image_set):
    data = b'{"%s": {"company": "ACME"}}' % image_set[0].encode()
    run(store_services.image_sets_of("alice").attach_ground_truth("set", data, source="gt.json", image_key="file"))
    assert listed(store_services, owner="alice") == [("set", 1)]
    assert listed(store_services, owner="bob") == []


def test_a_draft_is_no_ground_truth_until_it_is_confirmed(store_services, image_set):
    services = store_services
    answers = dict(zip(image_set, [ANSWER, None, ANSWER, ["no object"]], strict=True))
    store_run(services, "b1", answers)
    row = services.runs.find("b1")
    draft = run(services.ground_truth_drafts.create(row, "dora"))
    assert sorted(draft.stored.content) == [image_set[0], image_set[2]]
    assert (draft.stored.source_run_id, len(draft.match.by_file)) == ("b1", 2)
    assert (listed(services), listed(services, draft=True)) == ([], [("set", 1)])
    with pytest.raises(GroundTruthError, match="no ground truth"):
        score_batch(services, row)
    with pytest.raises(ArtifactConflictError, match="has a draft"):
        run(services.ground_truth_drafts.create(row, "dora"))

    corrected = draft.stored.content | {image_set[0]: ANSWER | {"total": "2.00"}}
    correction = GivenGroundTruth(image_set="set", content=corrected, image_key="file", source="by hand", owner="dora")
    run(services.ground_truth_drafts.replace(correction, expected=1))
    with pytest.raises(StaleVersionError):
        run(services.ground_truth_drafts.confirm("set", expected=1))
    confirmed = run(services.ground_truth_drafts.confirm("set", expected=2)).stored
    assert (confirmed.version, confirmed.content, confirmed.source_run_id) == (1, corrected, "b1")
    assert (listed(services), listed(services, draft=True)) == ([("set", 1)], [])
    assert score_batch(services, row).ground_truth_version == 1


def test_a_confirmed_draft_is_the_next_version_of_a_ground_truth_that_is_there(store_services, given):
    store_run(store_services, "b1", {entry["file"]: ANSWER for entry in given.content})
    run(store_services.ground_truths.create(given))
    run(store_services.ground_truth_drafts.create(store_services.runs.find("b1"), "dora"))
    assert run(store_services.ground_truth_drafts.confirm("set")).stored.version == 2


def test_answers_with_a_field_like_the_image_key_stay_whole(store_services, image_set):
    store_run(store_services, "b1", {image_set[0]: ANSWER | {"file": "of the answer"}})
    draft = run(store_services.ground_truth_drafts.create(store_services.runs.find("b1"), "dora"))
    assert draft.match.by_file == {image_set[0]: ANSWER | {"file": "of the answer"}}


def test_a_run_without_answers_makes_no_draft(store_services, image_set):
    store_run(store_services, "b1", dict.fromkeys(image_set))
    with pytest.raises(GroundTruthError, match="no answers"):
        run(store_services.ground_truth_drafts.create(store_services.runs.find("b1"), "dora"))
