"""What the UI says of each asset, in Markdown: what it is, what launching it does, where to look next."""

from __future__ import annotations

IMAGE_SET = """\
The manifest of an image set: its images in order, kept by content in the artifact store.

- **Launch** job `ingest` on the set's partition. With nothing typed it imports again the folder that the set came from;
  a folder that has changed is the set's next `version`, and earlier versions stay.
- A folder that is complete under `DATA_ROOT/inbox` is imported by the sensor `inbox`.
- `unreadable` counts files that are no images; they stay in the set, and fail one by one in every run.
"""

GROUND_TRUTH = """\
The expected JSON of an image set's images, in versions.

- **Launch** job `ingest` with `gt_path`: JSON, JSON lines, CSV, or the files of SROIE and CORD. Without it, what is
  attached stays.
- From then on every run over the set is scored by itself.
- `entries_without_image` other than 0 tells of names that match no image: see `gt_image_key`.
"""

EXTRACTIONS = """\
One image set through one task: a batch run with a record for each image, whatever became of it.

- **Launch** job `batch_extract` on any partitions; nothing needs to be typed. An unfinished run of the same work is
  continued: what has a result is not asked for again.
- Job `batch_rerun` extracts an earlier run's images again, with another `overrides` (prompt, model, schema) or
  `only_failed`, and pays only for what changed.
- `errors_by_code` says what went wrong, `artifact` where the run is, `run_page` shows it in the API.
- The tags of the run (`ocrlty/model`, `ocrlty/prompt`, `ocrlty/key_id`, ...) filter the list of runs.
"""

EVALUATION = """\
A batch run scored against the ground truth of its image set: each field, each image, the run as a whole.

- It follows each extraction by itself where there is ground truth; job `evaluate` scores again.
- `report` opens the page with every fault beside its image; `headline` has the figures with their 95 % intervals.
- The check `no_regression` holds it against the baseline that `ocrlty baseline set` names.
"""

LEADERBOARD = """\
All batch runs of an image set through a task, the best first, as CSV and Parquet. Job `evaluate` renews it.
"""

EXTRACTS = """\
Records of single images, one materialization each: what `POST /v1/extract` answered, and what job `extract` made.

- **Launch** job `extract` with nothing typed to try the backend on a small receipt that is drawn for the purpose.
"""
