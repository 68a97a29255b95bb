from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

def write_digits(folder: Path, digits: Iterable[int] = range(10)) -> None:
    wanted, data = set(digits), load_digits()
    for digit in wanted:
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
    for number, (values, digit) in enumerate(zip(data.images, data.target, strict=True)):
        if int(digit) in wanted:
            small = Image.fromarray(np.rint(values * (255 / 16)).astype(np.uint8), mode="L")
            large = small.resize((32, 32), Image.Resampling.BICUBIC)
            large.convert("RGB").save(folder / str(digit) / f"{number:04}.png")
