"""RapidOCR behind one small class: an image in, text boxes out.

Belongs here: the engine's settings, its models, its quirks. Does not: threads, tasks, or what the text means.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ocrlty_pipeline.backends.ocr.layout import TextBox
from ocrlty_pipeline.errors import BackendError, BackendMisconfiguredError

DETECTION_MODEL = "PP-OCRv6_det_small.onnx"
RECOGNITION_MODEL = "PP-OCRv6_rec_small.onnx"
MODEL_ID = f"rapidocr-{version('rapidocr')}/PP-OCRv6_small"
# Upright text is read with a confidence above 0.9; the same page upside down or on its side, with 0.5 to 0.7.
LEGIBLE = 0.75
# Detection enlarges by the short side: a long strip would grow to tens of megapixels without white paper beside it.
MAX_ASPECT = 3
TURNS = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one image.

    Attributes:
        boxes: in pixels of the image as turned.
        turn: how the image was turned to be legible; None for not at all.
        size: width and height of the image as turned, in pixels.
    """

    boxes: list[TextBox]
    turn: Image.Transpose | None
    size: tuple[int, int]


class OcrEngine:
    """One loaded engine. Not for concurrent use: one thread, one engine.

    Args:
        threads: how many threads one inference may use.

    Raises:
        BackendMisconfiguredError: RapidOCR or a model is not installed whole.
    """

    def __init__(self, *, threads: int) -> None:
        self._rapidocr = _load(threads)

    def read(self, image: Image.Image) -> Reading:
        """Find and read the text of an RGB image; of a page on its side or upside down, in the first legible turn.

        Raises:
            BackendError: the engine failed on this image.
        """
        image = _padded(image)
        readings = [self._read(image, None)]
        # Where no text is found upright, none is found turned.
        while readings[0].boxes and _legibility(readings[-1].boxes) < LEGIBLE and len(readings) <= len(TURNS):
            readings.append(self._read(image, TURNS[len(readings) - 1]))
        return max(readings, key=lambda reading: _legibility(reading.boxes))

    def _read(self, image: Image.Image, turn: Image.Transpose | None) -> Reading:
        turned = image if turn is None else image.transpose(turn)
        pixels = np.asarray(turned)[:, :, ::-1]  # RapidOCR takes BGR
        try:
            found = self._rapidocr(pixels)
        # RapidOCR, OpenCV and onnxruntime each raise their own, down to plain Exception.
        except Exception as error:
            raise BackendError(
                f"The ocr engine failed on an image of {image.width} x {image.height} pixels: {error}."
            ) from error
        return Reading(list(_boxes(found)), turn, turned.size)


def _padded(image: Image.Image) -> Image.Image:
    """White paper to the right or below, where one side is more than `MAX_ASPECT` times the other."""
    least = math.ceil(max(image.size) / MAX_ASPECT)
    if min(image.size) >= least:
        return image
    padded = Image.new("RGB", (max(image.width, least), max(image.height, least)), "white")
    padded.paste(image)
    return padded


def _boxes(found: Any) -> Iterator[TextBox]:
    if found.boxes is None or found.txts is None:
        return
    for quad, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        corners = [(float(x), float(y)) for x, y in quad]
        yield TextBox(text, (corners[0], corners[1], corners[2], corners[3]), float(score))


def _legibility(boxes: list[TextBox]) -> float:
    """Mean confidence, weighted by the length of text; a page of lines on their side counts for nothing."""
    letters = sum(len(box.text) for box in boxes)
    if not letters:
        return 0.0
    return sum(box.score * len(box.text) for box in boxes if box.width >= box.height) / letters


def _load(threads: int) -> Any:
    try:
        # Importing OpenCV and onnxruntime takes a second, which only a process that reads images should pay.
        import rapidocr  # noqa: PLC0415 - lazy on purpose, see above
    except ImportError as error:
        raise BackendMisconfiguredError(
            f"Backend `ocr` needs rapidocr, onnxruntime and OpenCV: {error}. Install the project's dependencies."
        ) from None
    models = Path(str(rapidocr.__file__)).parent / "models"
    for model in (DETECTION_MODEL, RECOGNITION_MODEL):
        if not (models / model).is_file():
            raise BackendMisconfiguredError(
                f"Backend `ocr`: {models / model} is missing; reinstall rapidocr, whose wheel brings it."
            )
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    _let_threads_sleep()
    return rapidocr.RapidOCR(params=_parameters(models, threads))


def _parameters(models: Path, threads: int) -> dict[str, Any]:
    return {
        "Global.log_level": "error",
        # The classifier turns short upright texts such as `0.00` upside down; `read` turns whole pages instead.
        "Global.use_cls": False,
        # Detection enlarges short sides to this: at 736, the default, a photograph's `Tahu Goreng` was read `Tahr eng`.
        "Det.limit_side_len": 960,
        # A path given is a model never looked for on the network.
        "Det.model_path": str(models / DETECTION_MODEL),
        "Rec.model_path": str(models / RECOGNITION_MODEL),
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }


@cache
def _let_threads_sleep() -> None:
    """Have the threads of an inference sleep while they wait for each other.

    onnxruntime has them spin, which takes the cores from whatever else runs: three processes that read at once on two
    cores take 1.2 times as long (`benchmarks/ocr.py`). RapidOCR passes no such option on.
    """
    from rapidocr.inference_engine.onnxruntime.main import OrtInferSession  # noqa: PLC0415 - as `rapidocr`

    given = OrtInferSession._init_sess_opts  # noqa: SLF001 - its only place for options

    def with_sleep(config: Any) -> Any:
        options = given(config)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options

    OrtInferSession._init_sess_opts = staticmethod(with_sleep)  # type: ignore[assignment,method-assign]  # noqa: SLF001
