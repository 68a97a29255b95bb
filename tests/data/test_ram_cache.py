"""Decoded images in memory: decoded once, all or none, and never over the limit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from hubtune.data.ram_cache import DecodedImages, spare_memory


class Decoder:
    """Makes images of 10 × 10 pixels (300 bytes), and records which were requested."""

    def __init__(self, count, limit):
        self.asked, self.images = [], DecodedImages(count, limit=limit)

    def decode(self, number):
        self.asked.append(number)
        return Image.new("RGB", (10, 10), (number % 256, 2, 3))

    def get(self, numbers):
        """The red of some images, which are painted over then."""
        images = [self.images.get(number, lambda n=number: self.decode(n)) for number in numbers]
        red = [np.asarray(image)[0, 0, 0] for image in images]
        for image in images:
            image.paste((9, 9, 9), (0, 0, 10, 10))
        return red


def test_images_that_fit_are_decoded_once_and_others_each_time():
    for limit, decoded in ((5 * 300, 5), (5 * 300 - 1, 15), (0, 15)):
        decoder = Decoder(5, limit)
        for _ in range(3):
            assert decoder.get([3, 1, 4, 0, 2]) == [3, 1, 4, 0, 2]
        assert len(decoder.asked) == decoded
    decoder = Decoder(1000, 999 * 300)  # dropped before it is full
    for count, decoded in ((99, 99), (99, 99), (100, 100), (100, 200)):
        decoder.get(range(count))
        assert len(decoder.asked) == decoded
    assert 0 <= spare_memory() <= 512 * 1024**2


def test_threads_get_the_right_images():
    decoder = Decoder(50, 50 * 300)
    with ThreadPoolExecutor(8) as pool:
        rounds = [pool.submit(decoder.get, range(50)) for _ in range(8)]
    assert [each.result() for each in rounds] == [list(range(50))] * 8
    count = len(decoder.asked)
    decoder.get(range(50))
    assert len(decoder.asked) == count
