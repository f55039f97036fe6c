"""Stored runs against each other, their baselines and their leaderboard, through the database and the command line."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace

import orjson
import pandas as pd
import pytest

from ocrlty_pipeline import task_texts
from ocrlty_pipeline.artifacts.keys import input_key
from ocrlty_pipeline.blocking import result_of
from ocrlty_pipeline.cli.app import run
from ocrlty_pipeline.comparing import changed_texts, compare_runs
from ocrlty_pipeline.errors import ArtifactNotFoundError, InputError
from ocrlty_pipeline.evaluation.comparison.results import NO_EVIDENCE, SettingChange
from ocrlty_pipeline.evaluation.options import EvaluationOptions
from ocrlty_pipeline.leaderboards import leaderboard, save_leaderboard
from ocrlty_pipeline.scoring import save_evaluation, score_batch
from ocrlty_pipeline.services import open_services
from ocrlty_pipeline.settings import load_settings
from tests.support.scored_runs import TASK, store_ground_truth, store_image_set, store_run

IMAGES = 40
TRUTH = [{"company": f"Shop {i}", "date": "2026-11-28", "address": "Road", "total": f"{i}.00"} for i in range(IMAGES)]


@pytest.fixture
def services(tmp_path, database_url, monkeypatch):
    values = {"DATABASE_URL": database_url, "OCRLTY_HOME": tmp_path / "home", "DATA_ROOT": tmp_path}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    with open_services(load_settings()) as services:
        yield services


@pytest.fixture
def files(services, tmp_path):
    return store_image_set(services, tmp_path / "images", TRUTH)


def predictions(files, *, wrong=0, failed=0):
    """The ground truth, the totals of the first `wrong` files wrong, and nothing for the last `failed`."""
    made = {f: {**t, "total": "9999.00"} if i < wrong else t for i, (f, t) in enumerate(zip(files, TRUTH, strict=True))}
    return made | dict.fromkeys(files[len(files) - failed :]) if failed else made


def test_runs_are_compared_by_their_latest_evaluations_and_what_they_were_made_with(services, files):
    store_run(services, "run-a", predictions(files, wrong=15))
    store_run(services, "run-b", predictions(files, wrong=1), model_id="other", prompt_sha256="1" * 64)
    found = compare_runs(services, "run-a", "run-b")
    assert found.verdict == "better"
    assert {field.field: field.verdict for field in found.fields}["total"] == "better"
    assert (found.a.rescored, found.b.rescored) == (None, None)
    assert [(change.name, change.b) for change in found.settings] == [
        ("model_id", "other"),
        ("prompt_sha256", "1" * 64),
    ]
    (leaf,) = found.fixed()[0].leaves
    assert (leaf.expected, leaf.predicted_a, leaf.predicted_b) == ("1.00", "9999.00", "1.00")
    with pytest.raises(ArtifactNotFoundError, match="nowhere"):
        compare_runs(services, "run-a", "nowhere")


def test_a_run_of_an_older_ground_truth_is_scored_anew_and_so_is_one_without_evaluation(services, files):
    store_run(services, "run-a", predictions(files))
    store_ground_truth(services, dict(zip(files, [{**t, "company": "New"} for t in TRUTH], strict=True)))
    store_run(services, "run-b", predictions(files))
    store_run(services, "run-c", predictions(files), scored=False)
    found = compare_runs(services, "run-a", "run-b")
    assert found.verdict == NO_EVIDENCE
    assert found.a.rescored == "its evaluation is of version 1 of the ground truth, not 2"
    assert (found.b.rescored, found.a.ground_truth_version, found.samples) == (None, 2, [])
    assert compare_runs(services, "run-b", "run-c").b.rescored == "it had no evaluation"


def test_evaluations_by_other_options_are_both_scored_anew(services, files):
    store_run(services, "run-a", predictions(files), scored=False)
    store_run(services, "run-b", predictions(files), scored=False)
    evaluation = score_batch(services, services.runs.find("run-b"))
    save_evaluation(services, evaluation.model_copy(update={"options": EvaluationOptions(ignore_case=True)}))
    found = compare_runs(services, "run-a", "run-b")
    assert found.a.rescored == "it had no evaluation"
    assert found.b.rescored == "the two evaluations compare values by different options"


def items_of(services, files, inputs):
    """The items of a run that predicts the ground truth, with the keys of their images' bytes."""
    run_id = f"plain-{len(inputs)}"
    store_run(services, run_id, predictions(files), scored=False)
    items = result_of(services.runs.load(services.runs.find(run_id))).items
    return [item.model_copy(update={"input_ref": inputs.get(item.file)}) for item in items]


def test_files_of_one_name_that_hold_other_images_are_no_pair(services, files):
    inputs = {file: input_key("local", f"{i:064x}", ".png") for i, file in enumerate(files)}
    store_run(services, "run-a", predictions(files), items=items_of(services, files, inputs))
    # The same bytes of another owner, but for the first; of the last, nothing is known.
    others = {file: key.replace("local", "client") for file, key in inputs.items()}
    others = {**others, files[0]: input_key("local", "f" * 64, ".png")}
    del others[files[-1]]
    store_run(services, "run-b", predictions(files), items=items_of(services, files, others))
    with pytest.raises(InputError, match=r"1 of the same name hold other images \('000.png'\); 39 are in both"):
        compare_runs(services, "run-a", "run-b")
    found = compare_runs(services, "run-a", "run-b", intersection=True)
    assert (found.paired, found.other_images, found.samples) == (39, ["000.png"], [])


def test_what_changed_in_prompt_and_schema_is_shown_where_it_is_known(services, files, capsys):
    task = services.tasks[TASK]
    before = replace(task, prompt="Read the receipt.\nBe [bold]exact[/bold].")
    asyncio.run(task_texts.keep_texts(services.store, before))
    store_run(services, "run-a", predictions(files), prompt_sha256=before.prompt_sha256)
    store_run(services, "run-b", predictions(files), prompt_sha256=task.prompt_sha256)
    store_run(services, "run-c", predictions(files), prompt_sha256="1" * 64)
    (text,) = changed_texts(services, compare_runs(services, "run-a", "run-b"))
    assert (text.name, text.a, text.b) == ("prompt", before.prompt, task.prompt)
    assert run(["compare", "run-a", "run-b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "-Be [bold]exact[/bold]." in lines[lines.index("The prompt changed, A - to B +:") :]
    assert run(["compare", "run-b", "run-c"]) == 0
    assert "The prompt changed; its text is unknown for B." in capsys.readouterr().out
    same = compare_runs(services, "run-a", "run-a")
    assert changed_texts(services, same) == []
    schemas = SettingChange(name="schema_sha256", a=task.schema_sha256, b="2" * 64)
    (text,) = changed_texts(services, same.model_copy(update={"settings": [schemas]}))
    assert (text.name, orjson.loads(text.a), text.b) == ("schema", task.schema, None)


def test_a_baseline_is_set_shown_and_cleared(services, files, capsys):
    store_run(services, "run-a", predictions(files))
    assert run(["baseline", "set", "s", TASK, "run-a", "--max-drop", "0.02", "--blocking"]) == 0
    assert run(["baseline", "set", "s", TASK, "run-a", "--max-drop", "0.03"]) == 0
    kept = services.baselines.get("s", TASK)
    assert (kept.run_id, kept.max_drop, kept.blocking) == ("run-a", 0.03, False)
    capsys.readouterr()
    assert run(["baseline", "show"]) == 0
    assert "3 points" in capsys.readouterr().out
    assert run(["baseline", "set", "other", TASK, "run-a"]) == 1
    assert "is of image set 's'" in capsys.readouterr().err
    assert run(["baseline", "clear", "s", TASK]) == 0
    assert services.baselines.all() == []
    assert run(["baseline", "clear", "s", TASK]) == 1
    assert run(["baseline", "set", "s"]) == 1
    assert "ocrlty baseline set SET TASK RUN" in capsys.readouterr().err


def test_compare_and_gate_say_it_first_and_in_one_sentence(services, files, capsys):
    store_run(services, "run-a", predictions(files))
    store_run(services, "run-b", predictions(files, wrong=20, failed=1))
    assert run(["compare", "run-a", "run-b"]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("B is worse: 0 documents fixed, 21 broken; field F1 -")
    assert first.endswith("Worse: total.")
    assert any(line.split()[:1] == ["total"] and line.rstrip().endswith("worse") for line in rest)
    assert "Broken: 000.png, 001.png, 002.png, 003.png, 004.png and 16 more (--json lists all)" in rest
    assert run(["compare", "run-a", "run-b", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["verdict"] == "worse"
    assert run(["gate", "run-b", "--baseline", "run-a", "--max-drop", "0.01"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Failed: Field F1 (micro) fell by 13.92 points, ")
    assert line.endswith("more than the 1 allowed; the difference is more than chance.")
    assert run(["gate", "run-b", "--baseline", "run-a", "--max-drop", "0.6", "--metric", "documents"]) == 0
    assert capsys.readouterr().out.startswith("Passed: ")


def test_a_leaderboard_ranks_all_runs_and_is_kept_as_csv_and_parquet(services, files, capsys):
    store_run(services, "run-bad", predictions(files, wrong=9), second=1)
    store_run(services, "run-good", predictions(files), second=2)
    store_run(services, "run-raw", predictions(files), scored=False, second=3)
    store_run(services, "run-middle", predictions(files, wrong=2), second=4)
    table = leaderboard(services, "s", TASK)
    assert table["run_id"].tolist() == ["run-good", "run-middle", "run-bad", "run-raw"]
    assert table["rank"].tolist()[:3] == [1, 2, 3]
    assert table["rank"].isna().tolist() == [False, False, False, True]
    assert table.loc[1, "exact_match"] == pytest.approx(0.95)
    keys = save_leaderboard(services.store, table, "s", TASK)
    root = services.settings.ocrlty_home / "artifacts"
    assert pd.read_csv(root / keys["csv"])["run_id"].tolist() == table["run_id"].tolist()
    parquet = pd.read_parquet(io.BytesIO((root / keys["parquet"]).read_bytes()))
    pd.testing.assert_frame_equal(parquet, table)
    assert run(["leaderboard", "s"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line.split() for line in lines if "run-" in line)[:2] == ["1", "run-good"]
    assert run(["leaderboard", "s", "--task", "items_light_v1"]) == 1
    assert "with task 'items_light_v1'" in capsys.readouterr().err
