"""PaddleHub's reader gives hubtune's preprocessing and batches, and refuses what hubtune does not have."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.paddlehub_task import Lists
from support.split_folder import draw_split

from hubtune.errors import DataError, UsageError
from hubtune.paddlehub.image_reader import ImageClassificationReader, with_preprocessing
from hubtune.paddlehub.pretrained import Module


@pytest.fixture
def module():
    return Module("smallnet", weights=None)


def _reader(width=32, height=32, **options):
    return ImageClassificationReader(image_width=width, image_height=height, **options)


def test_batches_are_preprocessed_images_with_their_labels(tmp_path, told):
    data = draw_split(tmp_path, {"a": 9, "b": 9}, validate=2, test=2, noise=15)
    reader = _reader(dataset=Lists(data), images_mean=[0.5] * 3, images_std=[0.25] * 3)
    assert told.messages == ["Dataset label map = {'a': 0, 'b': 1}"]
    assert (reader.label_map, reader.num_examples) == ({"a": 0, "b": 1}, {"train": 10, "dev": 4, "test": 4})
    assert reader.get_train_examples() == Lists(data).get_train_examples()
    [[images, labels]], [[last, _]] = reader.data_generator(batch_size=3, phase="dev")()
    assert (len(images), len(last), labels) == (3, 1, [[0], [0], [1]])
    path = reader.get_dev_examples()[0][0]
    with Image.open(path) as image:
        pixels = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS), np.float32) / 255
    assert np.abs(images[0] - (pixels.transpose(2, 0, 1) - 0.5) / 0.25).max() < 1.01 / 255 / 0.25
    [batch] = reader.data_generator(batch_size=3, phase="predict", data=[path], return_list=False)()
    assert (batch.shape, batch.dtype) == ((1, 1, 3, 32, 32), np.float32)
    assert np.array_equal(batch[0, 0], images[0])
    shuffled = [
        label for [_, labels] in reader.data_generator(1, "train", return_list=False)() for label in labels
    ]
    assert sorted(shuffled) == [[0]] * 5 + [[1]] * 5 != shuffled


def test_batches_of_what_is_not_there_are_refused(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    reader = _reader()
    with pytest.raises(UsageError, match="There is no phase 'no': it may be train, dev, test or predict"):
        reader.data_generator(phase="no")
    with pytest.raises(UsageError, match="dataset must be a BaseCVDataset, not a NoneType"):
        reader.data_generator(phase="train")
    with pytest.raises(DataError, match=r"broken\.png: "):
        next(reader.data_generator(phase="predict", data=[tmp_path / "broken.png"])())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 64}, "image_width 32 and image_height 64 differ"),
        ({"width": 0, "height": 0}, "image_width must be a whole number of pixels from 1 to 4096"),
        ({"channel_order": "BGR"}, "channel_order is 'BGR'"),
        ({"images_mean": [0.5, 0.5]}, r"images_mean must be three numbers, of values 0–1, not \[0.5, 0.5\]"),
        ({"images_mean": 0.5}, "images_mean must be three numbers"),
        ({"images_std": [0.2, 0.2, 0]}, "images_std must be three numbers above 0"),
        ({"images_std": np.full(3, np.nan)}, "images_std must be three numbers above 0"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        _reader(**options)


@pytest.mark.parametrize(("multiple", "others"), [(None, "no other"), (16, "other multiples of 16")])
def test_a_size_that_the_module_does_not_take_is_refused(module, multiple, others):
    module.module.backbone = replace(module.module.backbone, size_multiple=multiple)
    with pytest.raises(UsageError, match=f"smallnet takes 32 and {others}: give image_width=module"):
        with_preprocessing(module.module, _reader(40, 40))
