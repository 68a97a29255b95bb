"""Features of lists come from the cache that training has filled, and unreadable images are left out."""

import numpy as np
import pytest
from support.int8 import int8_run
from support.split_folder import draw_split
from support.tiny_task import smallnet, train_frozen

import hubtune
from hubtune.inference.list_features import backbone_of_model, compute_table
from hubtune.inference.openvino_program import RequestRing


@pytest.mark.slow
@pytest.mark.parametrize("taps", [True, False])
def test_they_are_those_of_training_and_the_head_gives_the_scores_of_prediction(tmp_path, monkeypatch, taps):
    data = draw_split(tmp_path / "data", dict.fromkeys("abc", 10), validate=2, noise=120.0)
    settings = {"head": "ridge" if taps else "logistic"}
    run = train_frozen(smallnet(), data, tmp_path / "run", settings=settings)
    model = hubtune.load_model(run.path)
    entries = hubtune.ListDataset(data).examples("train")
    expected = [row.scores for row in model.predict([entry.path for entry in entries])]
    monkeypatch.setattr(RequestRing, "begin", None)  # everything is in the cache
    backbone, blocks = backbone_of_model(model)
    groups = {entries[0].path: 1, entries[3].path: 1}
    table, indices = compute_table(backbone, blocks, model.card.views, entries, groups)
    assert indices.tolist() == list(range(len(entries)))
    assert table.keys[0] == table.keys[3]
    assert len(set(table.keys)) == len(entries) - 1
    logits = table.rows @ model.head.weight + model.head.bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = powers / powers.sum(axis=1, keepdims=True)
    for row, own in zip(scores, expected, strict=True):
        np.testing.assert_allclose(row, [own[label] for label in model.labels], atol=1e-4)


def test_unreadable_images_are_left_out_and_keep_the_others_in_place(tmp_path):
    data = draw_split(tmp_path / "data", dict.fromkeys("ab", 6), validate=1, test=1)
    run = train_frozen(smallnet(), data, tmp_path / "run")
    entries = hubtune.ListDataset(data).examples("train")
    entries[1].path.write_bytes(b"no picture")
    backbone, blocks = backbone_of_model(hubtune.load_model(run.path))
    calls = []
    table, indices = compute_table(
        backbone,
        blocks,
        [hubtune.load_model(run.path).card.preprocessing],
        entries,
        {},
        advance=lambda *n: calls.append(n),
    )
    assert indices.tolist() == [0, *range(2, len(entries))]
    assert table.labels.tolist() == [entries[index].label for index in indices]
    assert calls[-1] == (len(entries), len(entries))


@pytest.mark.slow
def test_features_of_a_model_in_int8_are_those_that_its_head_was_solved_on(tmp_path):
    run = int8_run(tmp_path)
    model, entries = hubtune.load_model(run.path), hubtune.ListDataset(tmp_path).examples("test")
    backbone, blocks = backbone_of_model(model)
    table, _ = compute_table(backbone, blocks, model.card.views, entries, {})
    logits = table.rows @ model.head.weight + model.head.bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = powers / powers.sum(axis=1, keepdims=True)
    for row, prediction in zip(scores, model.predict([entry.path for entry in entries]), strict=True):
        expected = [prediction.scores[label] for label in model.labels]
        np.testing.assert_allclose(row, expected, atol=1e-5)
