"""Intervals: what they cover, and what they do where there is little to go by."""

from __future__ import annotations

import numpy as np
import pytest

from ocrlty_pipeline.evaluation import metrics, uncertainty
from ocrlty_pipeline.evaluation.donut import DonutCounts
from ocrlty_pipeline.evaluation.kieval import KievalCounts
from ocrlty_pipeline.evaluation.outcomes import OUTCOMES, Outcome
from ocrlty_pipeline.evaluation.published import PublishedScores, as_columns
from ocrlty_pipeline.evaluation.results import Estimates
from ocrlty_pipeline.evaluation.uncertainty import estimates, resampled_sums


def run_of(documents: int, right: float, seed: int = 1) -> tuple[metrics.Counts, np.ndarray]:
    """Documents of ten leaves in two fields, `right` of them matched, and published scores to go with them."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((documents, 2, OUTCOMES), dtype=np.int32)
    counts[:, 0, Outcome.MATCHED] = rng.binomial(7, right, documents)
    counts[:, 1, Outcome.MATCHED] = rng.binomial(3, right, documents)
    counts[:, 0, Outcome.MISMATCH] = 7 - counts[:, 0, Outcome.MATCHED]
    counts[:, 1, Outcome.PRED_MISSING] = 3 - counts[:, 1, Outcome.MATCHED]
    scores = [
        PublishedScores(
            anls=matched / 10,
            tree_edit=None if i == 0 else matched / 10,
            donut=DonutCounts(matched, 10 - matched),
            kieval=KievalCounts(matched, 10, 10, 10 - matched, matched // 5, 2, 2),
        )
        for i, matched in enumerate(counts[:, :, Outcome.MATCHED].sum(axis=1).tolist())
    ]
    return counts, as_columns(scores)


def test_every_figure_is_the_one_of_the_sums_and_lies_in_its_interval() -> None:
    counts, documents = run_of(300, 0.8)
    found = estimates(counts, documents)
    by_field = counts.sum(axis=0)
    matched = int(by_field[:, Outcome.MATCHED].sum())
    groups = int((counts[:, :, Outcome.MATCHED].sum(axis=1) // 5).sum())
    expected = {
        "micro_f1": float(metrics.f1(by_field.sum(axis=0))),
        "micro_accuracy": float(metrics.accuracy(by_field.sum(axis=0))),
        "macro_f1": metrics.macro(metrics.f1(by_field)),
        "macro_accuracy": metrics.macro(metrics.accuracy(by_field)),
        "anls": matched / 3000,
        "tree_edit": (matched - counts[0, :, Outcome.MATCHED].sum()) / 2990,
        "donut_f1": matched / (matched + (3000 - matched) / 2),
        "entity_f1": matched / 3000,
        "group_f1": groups / 600,
        "aligned": matched / 3000,
    }
    for name, value in expected.items():
        interval = getattr(found, name)
        assert interval.value == pytest.approx(value, abs=1e-12), name
        assert interval.low < interval.value < interval.high, name
    # The mean of 300 documents of ten independent leaves each: 1.96 standard errors of sqrt(0.16 / 3000) either way.
    assert found.anls.high - found.anls.low == pytest.approx(2 * 1.96 * (0.16 / 3000) ** 0.5, rel=0.12)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(100):
        anls = estimates(*run_of(60, 0.8, seed), resamples=400).anls
        covered += anls.low <= 0.8 <= anls.high
    assert 88 <= covered <= 99


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others() -> None:
    run = run_of(50, 0.7)
    assert estimates(*run) == estimates(*run)
    assert estimates(*run, seed=1).anls != estimates(*run).anls


def test_a_run_of_many_documents_is_drawn_in_groups_with_the_same_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(3).normal(size=(5003, 2))
    alone = resampled_sums(columns)
    monkeypatch.setattr(uncertainty, "GROUPS", 1000)
    grouped = resampled_sums(columns)
    assert grouped.std(axis=0) == pytest.approx(alone.std(axis=0), rel=0.12)
    assert grouped.mean(axis=0) == pytest.approx(columns.sum(axis=0), abs=0.1 * alone.std())


def test_chunks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.ones((20, 1))
    monkeypatch.setattr(uncertainty, "_CHUNK", 50)
    assert np.array_equal(resampled_sums(columns, 11), np.full((11, 1), 20.0))


def test_fewer_than_two_documents_have_a_value_but_no_bounds() -> None:
    one = estimates(*run_of(1, 1.0))
    assert (one.anls.value, one.anls.low, one.anls.high) == (1.0, None, None)
    assert one.tree_edit.value is None
    none = estimates(*run_of(0, 1.0))
    assert {getattr(none, name).value for name in Estimates.model_fields if name not in {"resamples", "seed"}} == {None}


def test_documents_that_are_all_alike_have_no_spread() -> None:
    interval = estimates(*run_of(40, 1.0)).micro_f1
    assert (interval.low, interval.value, interval.high) == (1.0, 1.0, 1.0)
