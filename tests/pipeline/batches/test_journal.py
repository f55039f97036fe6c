"""Which unfinished batch an execution continues, and that two never execute the same one."""

import multiprocessing
import threading

import pytest

from ocrlty_pipeline.batches.journal import BatchIdentity, BatchJournal, Begun, unknown
from ocrlty_pipeline.db.engine import create_engine
from ocrlty_pipeline.errors import ArtifactConflictError

WORK = BatchIdentity("set", 1, "receipt_fields_v1", "f" * 64)
OTHER_MODEL = BatchIdentity("set", 1, "receipt_fields_v1", "e" * 64)


@pytest.fixture
def journal(services):
    return BatchJournal(services.engine)


def claim(journal, new_id, identity=WORK, *, artifacts=(), resume=True, executions=unknown):
    written = {f"{run_id}.json" for run_id in artifacts}
    return journal.claim(
        identity,
        new_id=new_id,
        dagster_run_id=f"dagster-{new_id}",
        has_artifact=lambda rel: rel.rpartition("/")[2] in written,
        resume=resume,
        executions=executions,
    )


def test_the_first_execution_starts_a_lineage_of_its_own_name(journal):
    with claim(journal, "a") as started:
        assert (started.run_id, started.lineage_id, started.resumed_from) == ("a", "a", None)


def test_a_crashed_execution_is_continued_under_its_own_run_id(journal):
    with claim(journal, "a"):
        pass
    with claim(journal, "b") as continued:
        assert (continued.run_id, continued.lineage_id, continued.resumed_from) == ("a", "a", "a")
        assert continued.interrupted_dagster_run_id == "dagster-a"


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_one_that_ended_early_is_continued_under_a_new_run_id_of_its_lineage(journal, status):
    with claim(journal, "a"):
        journal.close("a", status)
    with claim(journal, "b", artifacts=["a"]) as second:
        assert (second.run_id, second.lineage_id, second.resumed_from) == ("a-2", "a", "a")
        journal.close("a-2", status)
    with claim(journal, "c", artifacts=["a", "a-2"]) as third:
        assert (third.run_id, third.lineage_id, third.resumed_from) == ("a-3", "a", "a-2")
        assert third.day == second.day


def test_one_that_ended_well_is_not_continued(journal):
    with claim(journal, "a"):
        journal.close("a", "succeeded")
    with claim(journal, "b", artifacts=["a"]) as started:
        assert started.lineage_id == "b"


def test_other_work_is_never_continued(journal):
    with claim(journal, "a"):
        pass
    with claim(journal, "b", OTHER_MODEL) as started:
        assert started.lineage_id == "b"


def test_a_fresh_start_leaves_the_unfinished_alone(journal):
    with claim(journal, "a"):
        pass
    with claim(journal, "b", resume=False) as started:
        assert started.lineage_id == "b"


def test_what_goes_on_without_a_lock_is_left_alone(journal):
    with claim(journal, "a"):
        pass
    asked = []

    def goes_on(dagster_run_id):
        asked.append(dagster_run_id)
        return "goes_on"

    with claim(journal, "b", executions=goes_on) as started:
        assert (started.lineage_id, asked) == ("b", ["dagster-a"])


def test_what_is_left_of_one_that_has_ended_is_waited_for(journal):
    left_behind = claim(journal, "a")
    left_behind.__enter__()
    soon = threading.Timer(0.5, lambda: left_behind.__exit__(None, None, None))
    soon.start()
    with claim(journal, "b", executions=lambda _run_id: "ended") as continued:
        assert (continued.lineage_id, continued.resumed_from) == ("a", "a")
    soon.join()


def test_a_lineage_is_found_by_the_run_that_began_it_whoever_went_on_with_it(journal):
    assert journal.begun_by([]) is None
    with claim(journal, "a"):
        journal.close("a", "canceled")
    with claim(journal, "b", artifacts=["a"]) as second:
        journal.close(second.run_id, "succeeded")
    assert journal.begun_by(["dagster-a", "unknown"]) == Begun("a-2", "a", "finished", WORK)
    assert journal.begun_by(["unknown"]) is None


def test_a_batch_that_is_being_executed_is_left_alone(journal):
    with claim(journal, "a"), claim(journal, "b") as second:
        assert second.lineage_id == "b"


def test_a_named_batch_that_is_being_executed_is_a_conflict(journal):
    with (
        claim(journal, "mine", resume=False),
        pytest.raises(ArtifactConflictError, match="being executed"),
        claim(journal, "mine", resume=False),
    ):
        pass


def test_a_named_batch_that_was_interrupted_is_continued_by_its_name(journal):
    with claim(journal, "mine", resume=False):
        pass
    with claim(journal, "mine", resume=False) as continued:
        assert (continued.run_id, continued.resumed_from) == ("mine", "mine")


def test_a_run_id_stands_for_one_piece_of_work(journal):
    assert not journal.finished("mine", WORK)
    with claim(journal, "mine", resume=False):
        assert not journal.finished("mine", WORK)
        journal.close("mine", "succeeded")
    assert journal.finished("mine", WORK)
    with pytest.raises(ArtifactConflictError, match="'mine' is in use"):
        journal.finished("mine", OTHER_MODEL)


def hold(url, started):
    engine = create_engine(url)
    with claim(BatchJournal(engine), "a"):
        started.set()
        multiprocessing.Event().wait()


def test_the_death_of_a_process_frees_its_batch_at_once(journal, database_url):
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Event()
    holder = spawn.Process(target=hold, args=(database_url, started))
    holder.start()
    assert started.wait(30)
    with claim(journal, "b") as while_alive:
        assert while_alive.lineage_id == "b"
        journal.close("b", "succeeded")
    holder.kill()
    holder.join()
    with claim(journal, "c") as after:
        assert (after.lineage_id, after.resumed_from) == ("a", "a")
