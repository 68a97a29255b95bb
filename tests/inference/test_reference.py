"""The similarity to training images: of the nearest one, in other groups, and as a threshold."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from hubtune.errors import ModelError
from hubtune.inference.predict import unit_mean
from hubtune.inference.reference import Reference, read_reference, similarity_threshold


def _reference(rows, labels=(0, 0, 1)):
    features = np.array([unit_mean([np.array(row, np.float32)]) for row in rows])
    return Reference(features, np.array(labels), [f"{number}.jpg" for number in range(len(rows))])


def test_the_nearest_training_image_is_that_of_the_largest_cosine():
    reference = _reference([[1, 0, 0], [0, 2, 0], [0, 3, 4]])
    image = unit_mean([np.array([0.0, 6.0, 8.0])])
    neighbour = reference.nearest(image)
    assert (neighbour.label, neighbour.name) == (1, "2.jpg")
    assert neighbour.similarity == pytest.approx(1.0, abs=1e-6)
    assert neighbour.similarity <= 1.0
    images = np.array([image, [1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(reference.similarities(images), [1.0, 1.0], atol=1e-6)
    # Without the class of the nearest one, the next counts.
    first, labels, second = reference.similarities_of_two(images)
    np.testing.assert_allclose(first, [1.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(second, [0.6, 0.0], atol=1e-6)
    assert labels.tolist() == [1, 0]


def test_features_of_views_count_alike_whatever_their_length():
    mean = unit_mean([np.array([100.0, 0.0]), np.array([0.0, 0.01])])
    np.testing.assert_allclose(mean, [0.5**0.5, 0.5**0.5], rtol=1e-6)
    assert not unit_mean([np.zeros(2)]).any()


def test_training_images_are_compared_with_those_of_other_groups():
    reference = _reference([[1, 0], [1, 0.001], [0, 1]])
    alone = reference.left_out_similarities(["a", "b", "c"])
    assert alone[:2] == pytest.approx([1.0, 1.0], abs=1e-5)
    copies = reference.left_out_similarities(["a", "a", "c"])
    assert np.abs(copies[:2]).max() < 0.01
    assert np.isnan(reference.left_out_similarities(["a", "a", "a"])).all()


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 100, 120])
def test_the_threshold_lets_at_least_95_percent_of_known_images_pass(count):
    values = np.random.default_rng(count).random(count)
    threshold = similarity_threshold(values)
    shares = (values >= threshold).mean()
    assert shares >= 0.95
    assert count < 39 or shares < 1


@pytest.mark.parametrize("count", [19, 60, 100])
def test_of_further_known_images_at_most_5_percent_are_rejected_on_average(count):
    random = np.random.default_rng(count)
    thresholds = [similarity_threshold(random.random(count)) for _ in range(2000)]
    # The chance of a uniform number to be below a threshold is the threshold.
    assert np.mean(thresholds) == pytest.approx(int(0.05 * (count + 1) + 1e-9) / (count + 1), abs=0.003)


def test_no_known_images_give_no_threshold():
    assert similarity_threshold(np.array([])) is None
    assert similarity_threshold(np.array([np.nan])) is None
    assert similarity_threshold(np.array([np.nan, 0.5])) == pytest.approx(0.5, abs=2e-4)


def test_a_file_is_read_as_it_was_written_and_another_is_refused(tmp_path):
    reference = _reference([[1, 0], [3, 4], [0, 1]])
    file = tmp_path / "reference.safetensors"
    file.write_bytes(reference.encode())
    again = read_reference(file, 2)
    assert again.names == reference.names
    assert again.labels.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(again.features, reference.features.astype(np.float16))
    features, labels = np.eye(2, dtype=np.float16), np.array([0, 1], np.int32)
    names = {"names": json.dumps(["a", "b"])}
    contents = {
        "does not go with": [
            save({"features": features, "labels": labels + 1}, names),
            save({"features": features, "labels": labels[:1]}, names),
            save({"features": features * np.float16(np.nan), "labels": labels}, names),
            save({"features": features, "labels": labels}, {"names": "[1, 2]"}),
            save({"features": features, "labels": labels}, {"names": "5"}),
            save({"features": features, "labels": labels}, {"names": '{"a": 1, "b": 2}'}),
            save({"features": features.astype(bool), "labels": labels}, names),
        ],
        "is not a file of": [
            b"nothing",
            save({"features": features}, names),
            save({"features": features, "labels": labels}),
            save({"features": features, "labels": labels}, {"names": "{"}),
            save({"features": features, "labels": labels}, names).replace(b'"F16"', b'"BF16"'),
        ],
    }
    for message, documents in contents.items():
        for content in documents:
            file.write_bytes(content)
            with pytest.raises(ModelError, match=message):
                read_reference(file, 2)
    with pytest.raises(ModelError, match="is not a file of"):
        read_reference(tmp_path / "gone", 2)


def test_features_of_another_network_are_refused():
    reference = _reference([[1, 0], [0, 1], [0, 1]])
    with pytest.raises(ModelError, match="features of 2 numbers, and its network of 3"):
        reference.nearest(np.ones(3))
    with pytest.raises(ModelError, match="get a good copy"):
        reference.similarities(np.ones((1, 3)))
