"""Decoded images in memory: decoded once, all or none, and never over the limit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from hubtune.data.ram_cache import DecodedImages, spare_memory


class Decoder:
    """Makes images of 10 × 10 pixels (300 bytes), and records which were requested."""

    def __init__(self):
        self.asked = []

    def __call__(self, number):
        self.asked.append(number)
        return Image.new("RGB", (10, 10), (number % 256, 2, 3))


def ask(images, decoder, numbers):
    return [np.asarray(images.get(n, lambda n=n: decoder(n)))[0, 0, 0] for n in numbers]


def test_images_that_fit_are_decoded_once_and_changes_do_not_affect_the_cache():
    decoder, images = Decoder(), DecodedImages(5, limit=5 * 300)
    for _ in range(3):
        image = images.get(3, lambda: decoder(3))
        assert image.getpixel((0, 0)) == (3, 2, 3)
        image.paste((9, 9, 9), (0, 0, 10, 10))
        assert ask(images, decoder, [1, 4, 0, 2]) == [1, 4, 0, 2]
    assert decoder.asked == [3, 1, 4, 0, 2]


@pytest.mark.parametrize("limit", [0, 5 * 300 - 1])
def test_images_that_do_not_fit_are_decoded_each_time(limit):
    decoder, images = Decoder(), DecodedImages(5, limit=limit)
    for _ in range(3):
        assert ask(images, decoder, range(5)) == [0, 1, 2, 3, 4]
    assert decoder.asked[5:] == [0, 1, 2, 3, 4] * 2


def test_a_cache_that_will_not_fit_is_dropped_before_it_is_full():
    decoder, images = Decoder(), DecodedImages(1000, limit=999 * 300)
    for count, decoded in ((99, 99), (99, 99), (100, 100), (100, 200)):
        ask(images, decoder, range(count))
        assert len(decoder.asked) == decoded


def test_threads_get_the_right_images():
    decoder, images = Decoder(), DecodedImages(50, limit=50 * 300)
    with ThreadPoolExecutor(8) as pool:
        rounds = [pool.submit(ask, images, decoder, range(50)) for _ in range(8)]
    assert [each.result() for each in rounds] == [list(range(50))] * 8
    count = len(decoder.asked)
    ask(images, decoder, range(50))
    assert len(decoder.asked) == count


def test_spare_memory_is_bounded():
    assert 0 <= spare_memory() <= 512 * 1024**2
