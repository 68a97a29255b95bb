"""Drawn images that differ from each other, and changed copies of them."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from hubtune.data.listing import NO_CLASS, ImageEntry
from hubtune.data.scan.inspect import inspect_image

LANCZOS = Image.Resampling.LANCZOS


def draw_shapes(seed, size=(400, 300)):
    """Draw shapes on a plain background, unlike those of any other seed."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(random.integers(190, 235, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = random.uniform(0, size[0]), random.uniform(0, size[1])
        w, h = random.uniform(20, 90, 2)
        colour = tuple(random.integers(20, 200, 3).tolist())
        shape = (draw.ellipse, draw.rectangle)[random.integers(2)]
        shape((x - w, y - h, x + w, y + h), fill=colour, outline=tuple(c // 2 for c in colour), width=5)
    noise = random.normal(0, 4, (size[1], size[0], 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(0.7)
    )


def save_entry(image, path):
    image.save(path)
    info = inspect_image(path)
    return ImageEntry(path, NO_CLASS, path.name, info.sha256, info=info)


def as_jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def crop(image, share, right, down):
    """Crop an image to a share of its sides; 0 to 1 from left to right, and from top to bottom."""
    width, height = image.size
    x, y = right * (1 - share) * width, down * (1 - share) * height
    return image.crop((round(x), round(y), round(x + share * width), round(y + share * height)))


COPIES = {
    "half the size": lambda image: image.resize((200, 150), LANCZOS),
    "a thumbnail": lambda image: image.resize((80, 60), LANCZOS),
    "stretched to a square": lambda image: image.resize((224, 224), LANCZOS),
    "JPEG of quality 25": lambda image: as_jpeg(image, 25),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "a quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "80 % of the sides, centre": lambda image: crop(image, 0.8, 0.5, 0.5),
    "80 % of the sides, corner": lambda image: crop(image, 0.8, 0, 1),
    "90 % of the sides, edge": lambda image: crop(image, 0.9, 1, 0.3),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "rotated by 5°": lambda image: image.rotate(5, Image.Resampling.BILINEAR),
    "rotated by -10°, enlarged": lambda image: image.rotate(-10, Image.Resampling.BILINEAR, expand=True),
    "in grey": lambda image: image.convert("L"),
    "mirrored, a corner of 80 %": lambda image: crop(ImageOps.mirror(image), 0.8, 0, 1),
    "upside down, a corner of 80 %": lambda image: crop(ImageOps.flip(image), 0.8, 1, 1),
    "mirrored, cropped, JPEG": lambda image: as_jpeg(ImageOps.mirror(crop(image, 0.88, 0.2, 0.8)), 60),
}
"""Description → function that makes such a copy."""
