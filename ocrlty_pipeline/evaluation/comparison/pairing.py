"""Two evaluations to pairs of samples, by image file, and the fields that both have.

Belongs here: what may be compared with what, and the refusals. Does not: any figure (`tables`), or re-scoring.
"""

from __future__ import annotations

from dataclasses import dataclass

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.evaluation.results import Evaluation, SampleScore

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scored samples side by side, in A's order.

    Attributes:
        a, b: of one file each, at the same place.
        only_a, only_b: files that are scored on one side only.
        fields: those of both, in A's order.
    """

    a: list[SampleScore]
    b: list[SampleScore]
    only_a: list[str]
    only_b: list[str]
    fields: list[str]
    fields_only_a: list[str]
    fields_only_b: list[str]

    @property
    def same_fields(self) -> bool:
        return not self.fields_only_a and not self.fields_only_b


def pair(a: Evaluation, b: Evaluation, *, intersection: bool = False) -> Pairs:
    """Pair the scored samples of two evaluations.

    Args:
        a: the one that is compared against.
        b: the one in question.
        intersection: leave out images that only one of them has, and pair files of different image sets by name.

    Raises:
        InputError: the images or their ground truth differ and no intersection was asked for, or nothing is in common.
    """
    _refuse_other_fields(a, b)
    if a.image_set != b.image_set and not intersection:
        raise InputError(
            f"Run {a.run_id!r} is of image set {a.image_set!r}, run {b.run_id!r} of {b.image_set!r}: "
            f"compare runs of one set, or ask for the images of the same file name in both. {_WAY_OUT}"
        )
    theirs = {sample.file: sample for sample in b.samples}
    ours = {sample.file for sample in a.samples}
    both = [sample for sample in a.samples if sample.file in theirs]
    only_a = [sample.file for sample in a.samples if sample.file not in theirs]
    only_b = [file for file in theirs if file not in ours]
    pairs = Pairs(
        a=both,
        b=[theirs[sample.file] for sample in both],
        only_a=only_a,
        only_b=only_b,
        fields=[field for field in a.fields if field in b.fields],
        fields_only_a=[field for field in a.fields if field not in b.fields],
        fields_only_b=[field for field in b.fields if field not in a.fields],
    )
    if not both:
        raise InputError(
            f"Runs {a.run_id!r} and {b.run_id!r} have no scored image in common; compare runs over the same images."
        )
    if not intersection:
        _refuse_other_images(a.run_id, b.run_id, pairs)
    return pairs


_WAY_OUT = "The intersection is intersection=true, `--intersection` at the command line."


def _refuse_other_fields(a: Evaluation, b: Evaluation) -> None:
    if a.fields.keys().isdisjoint(b.fields):
        raise InputError(
            f"Runs {a.run_id!r} (task {a.task_id!r}) and {b.run_id!r} (task {b.task_id!r}) have no field in common: "
            f"{_some(list(a.fields))} against {_some(list(b.fields))}; compare runs whose schemas overlap."
        )


def _refuse_other_images(a: str, b: str, pairs: Pairs) -> None:
    sides = [
        f"{len(files)} scored only in {run_id!r} ({_some(files)})"
        for run_id, files in ((a, pairs.only_a), (b, pairs.only_b))
        if files
    ]
    if sides:
        both = f"{len(pairs.a)} are in both"
        raise InputError(f"The runs differ in their images: {' and '.join(sides)}; {both}. {_WAY_OUT}")


def _some(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_EXAMPLES]))
    return f"{shown}, ..." if len(names) > _EXAMPLES else shown or "none"
