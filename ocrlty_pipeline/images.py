"""Bytes to a checked image: type by content, limits, orientation, resizing.

Belongs here: everything that looks inside an image file. Does not: where the bytes come from, or what is sent to which
backend.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ocrlty_pipeline.errors import ImageError

# Pillow's format -> mime type and file extension.
FORMATS = {
    "JPEG": ("image/jpeg", ".jpg"),
    "PNG": ("image/png", ".png"),
    "WEBP": ("image/webp", ".webp"),
    "TIFF": ("image/tiff", ".tif"),
    "BMP": ("image/bmp", ".bmp"),
    "GIF": ("image/gif", ".gif"),
}
# What every OpenAI-compatible server decodes; others are sent as PNG.
WIRE_MIME_TYPES = ("image/jpeg", "image/png", "image/webp")
JPEG_QUALITY = 92
MIN_SIDE = 28
# How much of a file `type_of` needs.
SNIFFED_BYTES = 16
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"GIF8", "GIF"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bounds on one image: file size in bytes, area in pixels."""

    max_bytes: int
    max_pixels: int


@dataclass(frozen=True)
class CheckedImage:
    """An image whose type, size and integrity were checked; pixels are decoded only on demand.

    Attributes:
        data: the file's bytes, as given.
        mime_type: by content.
        width, height: in pixels, as stored (before the EXIF orientation), of the first frame or page.
        oriented: whether the stored pixels are upright (no EXIF rotation to apply).
        deep: whether the pixels have 16 bits, which many servers would read as white.
    """

    data: bytes
    mime_type: str
    extension: str
    width: int
    height: int
    oriented: bool
    deep: bool = False

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def upright(self, at_least: tuple[int, int] | None = None) -> Image.Image:
        """Decode the first frame or page to an upright RGB image (transparency on white).

        Args:
            at_least: width and height, as stored, that suffice: a JPEG is then decoded to an eighth, a quarter or half
                of its size, no smaller than this, which is that much quicker.

        Raises:
            ImageError: the pixels turn out to be broken.
        """
        with _decoding(), Image.open(io.BytesIO(self.data), formats=list(FORMATS)) as stored:
            if at_least is not None:
                stored.draft(None, at_least)
            image = ImageOps.exif_transpose(stored)
            if self.deep:
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.has_transparency_data:
                rgba = image.convert("RGBA")
                white = Image.new("RGBA", rgba.size, "white")
                image = Image.alpha_composite(white, rgba)
            return image.convert("RGB")

    @property
    def sendable_as_is(self) -> bool:
        """Whether every server reads the file itself as `upright` does."""
        return self.oriented and not self.deep and self.mime_type in WIRE_MIME_TYPES

    def encoded(self, scale: float = 1.0) -> tuple[bytes, str]:
        """Bytes and mime type to send: the file itself where that will do, else re-encoded.

        Args:
            scale: factor on both sides, in (0, 1]; below 1 the image is reduced, to no less than 28 px a side.
        """
        if scale == 1.0 and self.sendable_as_is:
            return self.data, self.mime_type
        return _encode(reduced(self.upright(), scale), lossless=self.mime_type != "image/jpeg")


def reduced(image: Image.Image, scale: float) -> Image.Image:
    """Both sides multiplied by `scale`, in (0, 1]; a side is cut to no less than 28 px and never grows."""
    if scale == 1.0:
        return image
    width, height = (max(min(side, MIN_SIDE), round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _encode(image: Image.Image, *, lossless: bool) -> tuple[bytes, str]:
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "PNG", compress_level=3)
        return buffer.getvalue(), "image/png"
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue(), "image/jpeg"


def check_image(data: bytes, limits: ImageLimits) -> CheckedImage:
    """Look at the file's content and refuse what is not a whole, reasonable image.

    Truncation is found by a JPEG's end marker, by a PNG's checksums, by decoding any other.

    Raises:
        ImageError: empty, too large, of no known type, or broken; says which.
    """
    if not data:
        raise ImageError("The file is empty.")
    if len(data) > limits.max_bytes:
        raise ImageError(f"The file has {len(data)} bytes, more than MAX_IMAGE_BYTES={limits.max_bytes}.")
    try:
        with _decoding():
            return _open_and_verify(data, limits)
    except UnidentifiedImageError:
        if type_of(data[:SNIFFED_BYTES]):
            raise ImageError("The image is broken: its header is damaged or cut off.") from None
        raise ImageError(f"The file is {_guess(data)}; supported are {', '.join(FORMATS)}.") from None
    except Image.DecompressionBombError:
        raise ImageError(f"The image has more than MAX_IMAGE_PIXELS={limits.max_pixels} pixels.") from None


@contextmanager
def _decoding() -> Iterator[None]:
    """Make an ImageError of whatever Pillow raises for broken data, apart from its two verdicts on the whole file."""
    try:
        with warnings.catch_warnings():
            # Odd metadata is no reason to refuse an image, and large ones have a limit of our own.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    except (ImageError, UnidentifiedImageError, Image.DecompressionBombError):
        raise
    except Exception as error:  # decoders raise nearly anything: OSError, SyntaxError, struct.error, KeyError
        raise ImageError(f"The image is broken: {error}.") from error


def _open_and_verify(data: bytes, limits: ImageLimits) -> CheckedImage:
    with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
        width, height = image.size
        if width * height > limits.max_pixels:
            raise ImageError(
                f"The image has {width} x {height} pixels, more than MAX_IMAGE_PIXELS={limits.max_pixels}."
            )
        if image.mode in ("I", "F"):
            raise ImageError("The image has 32-bit pixels, whose white is anyone's guess; save it with 8 or 16 bits.")
        # Many phones append further pictures to a JPEG, which Pillow then calls an MPO.
        mime_type, extension = FORMATS["JPEG" if image.format == "MPO" else str(image.format)]
        deep = image.mode.startswith("I;16")
        _check_integrity(image, data)
    with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:
        oriented = image.getexif().get(ExifTags.Base.Orientation) not in range(2, 9)
    return CheckedImage(data, mime_type, extension, width, height, oriented, deep)


def _check_integrity(image: Image.Image, data: bytes) -> None:
    if image.format == "PNG":
        image.verify()
    # Decoding took a third of a batch's processor time, though the end marker tells the same of nearly every file.
    elif image.format not in ("JPEG", "MPO") or not _jpeg_ends(data):
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()


def _jpeg_ends(data: bytes) -> bool:
    """Whether the end marker (EOI) follows the first scan (SOS): ITU-T T.81, B.1; a thumbnail's own comes before."""
    position = 2
    while data[position : position + 1] == b"\xff":
        marker, size = data[position + 1 : position + 2], data[position + 2 : position + 4]
        if marker == b"\xda":
            return data.find(b"\xff\xd9", position) > 0
        position += 2 + int.from_bytes(size)
    return False


def type_of(head: bytes) -> tuple[str, str] | None:
    """Mime type and file extension by a file's first 16 bytes; None when they begin no known image."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return FORMATS["WEBP"]
    # Two letters alone would make an image of any text that begins with them: zeros are reserved after the size.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return FORMATS["BMP"]
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return FORMATS[name]
    return None


def _guess(data: bytes) -> str:
    if data.startswith(b"%PDF"):
        return "a PDF"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "a HEIC photo"
    return "not an image of a known type"
