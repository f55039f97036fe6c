from ocrlty_pipeline.batches.progress import Progress
from ocrlty_pipeline.orchestration import run_tags
from ocrlty_pipeline.orchestration.progress import RunProgress


class Tags:
    """An instance of which only the progress tag is written."""

    def __init__(self):
        self.written = []

    def add_run_tags(self, _run_id, tags):
        self.written.append(tags[run_tags.PROGRESS])

    def get_run_by_id(self, _run_id):
        return None


def test_progress_is_written_for_every_n_more_the_last_and_each_new_stage():
    tags = Tags()
    tell = RunProgress(tags, "r", min_seconds=1.0, every_n=10)
    progress = Progress("extracting", total=25)
    told = []
    for done in (0, 1, 9, 10, 15, 20, 24, 25, 25):
        progress.done = done
        before = len(tags.written)
        tell(progress)
        if len(tags.written) > before:
            told.append(done)
    assert told == [0, 10, 20, 25]
    progress.stage = "storing"
    tell(progress)
    assert len(tags.written) == 5
