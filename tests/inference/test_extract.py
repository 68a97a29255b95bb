"""Images run through an engine in order, batch after batch."""

import numpy as np
from PIL import Image

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.extract import run_images, sample_inputs

VIEWS = [Preprocessing(size=8, resize=8), Preprocessing(size=8, resize=8, mirror=True)]


class MeanEngine:
    """Returns the mean of each input; notes when batches begin and when they are waited for."""

    def __init__(self):
        self.events = []

    def begin(self, arrays):
        self.events.append(("begin", len(arrays)))

        def wait():
            self.events.append(("wait", len(arrays)))
            return [array.mean(axis=(0, 1)).astype(np.float32) for array in arrays]

        return wait


def test_outputs_are_in_order_and_the_next_batch_begins_before_one_is_waited_for(tmp_path):
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    paths[3].write_text("no picture")
    engine = MeanEngine()
    outputs = list(run_images(engine, VIEWS, paths, batch_size=2, workers=2))
    assert [output.path for output in outputs] == paths
    assert [output.error is not None for output in outputs] == [False, False, False, True, False]
    for output in outputs[:3]:
        expected = np.asarray(Image.open(output.path)).mean(axis=(0, 1))
        np.testing.assert_allclose(output.rows, [expected, expected], rtol=1e-6)
    assert engine.events == [("begin", 4), ("begin", 2), ("wait", 4), ("begin", 2), ("wait", 2), ("wait", 2)]
    # A sample has readable images alone.
    assert len(sample_inputs(VIEWS, paths[2:], 2)) == 4
    assert len(sample_inputs(VIEWS[:1], paths[3:4])) == 0
