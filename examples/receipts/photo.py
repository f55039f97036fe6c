"""Ink on paper as a photograph or a scan: a surface below, perspective, light, blur, noise.

Pixels only; nothing here knows what is printed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.floating]
Corners = list[tuple[float, float]]

_SURFACES = ((112, 78, 52), (58, 62, 70), (176, 160, 140), (40, 74, 92), (120, 44, 40), (205, 203, 198))
_PAPERS = ((250, 249, 245), (244, 240, 228), (238, 241, 245), (247, 236, 232))
_INKS = ((38, 38, 44), (44, 48, 92), (60, 56, 60))


@dataclass(frozen=True)
class Look:
    """How a picture is taken.

    Attributes:
        angle: of the paper, in degrees.
        bend: how far each corner strays, as a part of the width.
        fade: part of the ink that is lost where the print is weakest.
        blur: radius of the Gaussian, in pixels of the result.
        noise: standard deviation, of 255.
        dark: part of the light that is missing in the darkest corner.
        width: of the result, in pixels.
    """

    surface: tuple[int, int, int]
    paper: tuple[int, int, int]
    ink: tuple[int, int, int]
    angle: float
    bend: float
    fade: float
    blur: float
    noise: float
    dark: float
    width: int


def draw_look(rng: random.Random, *, hard: bool) -> Look:
    """A photograph's look; a hard one is near the end of what can be read."""
    return Look(
        surface=rng.choice(_SURFACES),
        paper=rng.choice(_PAPERS),
        ink=rng.choice(_INKS),
        angle=rng.uniform(1.5, 2.5) * rng.choice((-1, 1)) if hard else rng.uniform(-2, 2),
        bend=0.012 if hard else rng.uniform(0, 0.012),
        fade=0.55 if hard else rng.uniform(0.1, 0.35),
        blur=1.3 if hard else rng.uniform(0.3, 0.8),
        noise=11 if hard else rng.uniform(2, 6),
        dark=0.5 if hard else rng.uniform(0.1, 0.35),
        width=rng.randrange(700, 800) if hard else rng.randrange(800, 1200),
    )


def scan(ink: Image.Image) -> Image.Image:
    """A flatbed's picture: grey, straight, without a background."""
    return ink.point(lambda value: 252 - value * 215 // 255).filter(ImageFilter.GaussianBlur(0.4))


def photograph(ink: Image.Image, look: Look, noise: np.random.Generator) -> Image.Image:
    """The paper with its ink on a surface, seen by a hand-held camera."""
    paper = _print(ink, look, noise)
    canvas = (round(ink.width * noise.uniform(1.12, 1.35)), round(ink.height * noise.uniform(1.06, 1.16)))
    corners = _corners(ink.size, canvas, look, noise)
    sheet = _project(paper, canvas, corners)
    mask = _project(Image.new("L", ink.size, 255), canvas, corners)
    scene = _surface(canvas, look, noise)
    shadow = mask.filter(ImageFilter.GaussianBlur(14)).point(lambda value: value // 2)
    scene.paste((0, 0, 0), (8, 10), shadow)
    scene.paste(sheet, (0, 0), mask)
    size = (look.width, round(scene.height * look.width / scene.width))
    seen = scene.resize(size, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(look.blur))
    return _expose(seen, look, noise)


def _print(ink: Image.Image, look: Look, noise: np.random.Generator) -> Image.Image:
    """Ink on the paper's colour, weaker in patches, and a crease across."""
    weak = 1 - look.fade * _patches(ink.size, noise, (6, 4))
    strength = np.asarray(ink, np.float32)[..., None] / 255 * weak[..., None]
    colour = np.array(look.paper, np.float32) * (1 - strength) + np.array(look.ink, np.float32) * strength
    rows = np.arange(ink.height, dtype=np.float32)
    crease = np.exp(-(((rows - noise.uniform(0.3, 0.7) * ink.height) / 9) ** 2))
    colour *= 1 - 0.12 * crease[:, None, None]
    return Image.fromarray(colour.astype(np.uint8))


def _patches(size: tuple[int, int], noise: np.random.Generator, cells: tuple[int, int]) -> Pixels:
    """Smooth values from 0 to 1: a few random ones in rows and columns, enlarged."""
    few = (noise.random(cells) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(few).resize(size, Image.Resampling.BICUBIC), np.float32) / 255


def _surface(size: tuple[int, int], look: Look, noise: np.random.Generator) -> Image.Image:
    """A table: its colour with streaks along the grain."""
    width, height = size
    streaks = noise.normal(0, 9, (height, 1)) + noise.normal(0, 5, (height // 8 + 1, width)).repeat(8, axis=0)[:height]
    colour = np.array(look.surface, np.float32) + streaks[..., None]
    return Image.fromarray(colour.clip(0, 255).astype(np.uint8))


def _corners(paper: tuple[int, int], canvas: tuple[int, int], look: Look, noise: np.random.Generator) -> Corners:
    """Where the paper's corners (from the upper left, clockwise) lie on the canvas."""
    angle = np.deg2rad(look.angle)
    turned = []
    for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        across, down = x * paper[0], y * paper[1]
        stray = noise.uniform(-look.bend, look.bend, 2) * paper[0]
        turned.append(
            (
                float(canvas[0] / 2 + across * np.cos(angle) - down * np.sin(angle) + stray[0]),
                float(canvas[1] / 2 + across * np.sin(angle) + down * np.cos(angle) + stray[1]),
            )
        )
    return turned


def _project(image: Image.Image, canvas: tuple[int, int], corners: Corners) -> Image.Image:
    """The image drawn so that its corners meet the given ones."""
    width, height = image.size
    own = ((0, 0), (width, 0), (width, height), (0, height))
    equations, values = [], []
    for (x, y), (u, v) in zip(corners, own, strict=True):
        equations += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    homography = np.linalg.solve(np.array(equations), np.array(values))
    return image.transform(canvas, Image.Transform.PERSPECTIVE, homography.tolist(), Image.Resampling.BICUBIC)


def _expose(image: Image.Image, look: Look, noise: np.random.Generator) -> Image.Image:
    """Uneven light and the sensor's noise."""
    light = 1 - look.dark * _patches(image.size, noise, (3, 2)) ** 2
    pixels = np.asarray(image, np.float32) * light[..., None]
    pixels += noise.normal(size=pixels.shape) * look.noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
