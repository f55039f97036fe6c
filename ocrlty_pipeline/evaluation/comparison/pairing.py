"""Two evaluations to pairs of samples, by image file, and the fields that both have.

Belongs here: what may be compared with what, and the refusals. Does not: any figure (`tables`), or re-scoring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ocrlty_pipeline.errors import InputError
from ocrlty_pipeline.evaluation.results import Evaluation, SampleScore

_EXAMPLES = 3

# By file, what tells the image's content from another's, such as its SHA-256.
Images = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scored samples side by side, in A's order.

    Attributes:
        a, b: of one file each, at the same place.
        only_a, only_b: files that are scored on one side only.
        other_images: files scored on both sides, whose images are known to differ.
        fields: those of both, in A's order.
    """

    a: list[SampleScore]
    b: list[SampleScore]
    only_a: list[str]
    only_b: list[str]
    fields: list[str]
    fields_only_a: list[str]
    fields_only_b: list[str]
    other_images: list[str] = field(default_factory=list)

    @property
    def same_fields(self) -> bool:
        return not self.fields_only_a and not self.fields_only_b


def pair(a: Evaluation, b: Evaluation, images: tuple[Images, Images], *, intersection: bool = False) -> Pairs:
    """Pair the scored samples of two evaluations.

    Args:
        a: the one that is compared against.
        b: the one in question.
        images: of both; a file of which either says nothing is taken to be the same image.
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
    common = [sample for sample in a.samples if sample.file in theirs]
    both = [sample for sample in common if _same_image(sample.file, images)]
    only_a = [sample.file for sample in a.samples if sample.file not in theirs]
    only_b = [file for file in theirs if file not in ours]
    pairs = Pairs(
        a=both,
        b=[theirs[sample.file] for sample in both],
        only_a=only_a,
        only_b=only_b,
        other_images=[sample.file for sample in common if not _same_image(sample.file, images)],
        fields=[name for name in a.fields if name in b.fields],
        fields_only_a=[name for name in a.fields if name not in b.fields],
        fields_only_b=[name for name in b.fields if name not in a.fields],
    )
    if not both:
        raise InputError(
            f"Runs {a.run_id!r} and {b.run_id!r} have no scored image in common; compare runs over the same images."
        )
    if not intersection:
        _refuse_other_images(a.run_id, b.run_id, pairs)
    return pairs


_WAY_OUT = "The intersection is intersection=true, `--intersection` at the command line."


def _same_image(file: str, images: tuple[Images, Images]) -> bool:
    a, b = (side.get(file) for side in images)
    return a is None or b is None or a == b


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
    if pairs.other_images:
        sides.append(f"{len(pairs.other_images)} of the same name hold other images ({_some(pairs.other_images)})")
    if sides:
        both = f"{len(pairs.a)} are in both"
        raise InputError(f"The runs differ in their images: {' and '.join(sides)}; {both}. {_WAY_OUT}")


def _some(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_EXAMPLES]))
    return f"{shown}, ..." if len(names) > _EXAMPLES else shown or "none"
