"""Grey images of more than 8 bits: the range that their values use, and how they are scaled to 8 bits."""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

FULL_BITS = 16
MIN_BITS = 9
"""Range of the bits by which 16-bit images are scaled: values of 8 bits alone are those of an 8-bit image."""

# TIFF 6.0 tags that Pillow does not interpret for us.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262


def is_deep(image: Image.Image) -> bool:
    """Whether values have more than 8 bits, or are floating-point numbers."""
    return image.mode.startswith(("I", "F"))


def used_bits(image: Image.Image) -> int:
    """Return the bits that the largest value of a 16-bit image needs, at least 9; 0 for other images.

    Microscopes and depth cameras store values of 10, 12 or 14 bits in files of 16.
    """
    if not image.mode.startswith("I") or _stored_bits(image) != FULL_BITS:
        return 0
    highest = int(np.asarray(image).max(initial=0))
    return min(FULL_BITS, max(MIN_BITS, highest.bit_length()))


def common_bits(used: Iterable[int]) -> int:
    """Return the bits that hold the values of all 16-bit images, from the :func:`used_bits` of each.

    They are 16 without any such image.
    """
    return max(used, default=0) or FULL_BITS


def describe_bits(used: Sequence[int]) -> str | None:
    """Describe 16-bit images that use fewer bits, from the bits of each; ``None`` if there are none."""
    count, bits = sum(map(bool, used)), common_bits(used)
    if bits == FULL_BITS:
        return None
    one = count == 1
    return (
        f"{count:,} picture{'' if one else 's'} of 16 bits use{'s' if one else ''} only {bits} bits: "
        f"{'it is' if one else 'they are'} scaled by 2^{bits}"
    )


def scale_to_8_bits(image: Image.Image, bits: int = FULL_BITS) -> Image.Image:
    """Scale deeper values to mode ``L``, or ``LA`` if one value is transparent.

    In files of 16 bits, ``2 ** bits - 1`` becomes 255, and larger values are clipped to it.

    Raises:
        ValueError: if values are outside all known ranges.
    """
    # Pillow's own conversion clips 16-bit images to almost white, and turns float images black.
    values = np.asarray(image, dtype=np.float32)
    stored = _stored_bits(image)
    if image.mode != "F" and stored < FULL_BITS:
        top: float | None = 2**stored - 1
    elif image.mode != "F" and stored == FULL_BITS:
        top = 2**bits - 1
        values = np.minimum(values, top) if bits < FULL_BITS else values
    else:
        # Float and 32-bit images carry no range; these three are in use.
        top = next((top for top in (1, 255, 65535) if values.max(initial=0) <= top), None)
    # Written so that NaN fails, too.
    if top is None or not (values.min(initial=0) >= 0 and values.max(initial=0) <= top):
        raise ValueError("its values are outside 0–1, 0–255 and 0–65535")
    scaled = values * np.float32(255 / top)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # "white is zero", applied by Pillow up to 8 bits
        scaled = 255 - scaled
    grey = np.rint(scaled, out=scaled).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8)
        grey = np.stack([grey, opaque], axis=2)
    return Image.fromarray(grey)


def _stored_bits(image: Image.Image) -> int:
    bits: int = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (FULL_BITS,))[0]
    return bits
