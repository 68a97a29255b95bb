"""Pictures with several labels, from lists to exports; figures are compared with scikit-learn's."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss
from support.callbacks import AtStep, press_ctrl_c
from support.commands import json_of
from support.multi_label import LABELS, draw_label_lists, draw_labelled, write_label_table
from support.tiny_task import tiny_task, train, train_frozen, weight_bytes

import hubtune
from hubtune.data.list_labels import MULTI_LABEL
from hubtune.errors import ModelError, UsageError
from hubtune.hub.model_card import read_card


@pytest.fixture(scope="module")
def digitnet():
    return hubtune.Module("digitnet")


@pytest.fixture(scope="module")
def solved(digitnet, tmp_path_factory):
    """A frozen run, and its folder of lists."""
    folder = tmp_path_factory.mktemp("solved")
    data = draw_label_lists(folder / "data")
    return train_frozen(digitnet, data, folder / "run"), data


def _scores(model, data, name="test"):
    """Return truth and probabilities of a list ``[N, labels]``, by predicting its files."""
    dataset = hubtune.ListDataset(data)
    examples, matrix = dataset.examples(name), dataset.label_sets.matrix
    rows = model.predict([example.path for example in examples])
    scores = np.array([[row.scores[label] for label in LABELS] for row in rows])
    return matrix[[example.label for example in examples]], scores


def test_figures_are_those_of_scikit_learn(solved):
    run, data = solved
    model = hubtune.load_model(run.path)
    truth, scores = _scores(model, data)
    given = scores >= np.array(model.card.thresholds)
    evaluation = model.evaluate(hubtune.ListDataset(data), "test")
    assert evaluation.mean_ap == pytest.approx(average_precision_score(truth, scores, average="macro"))
    assert evaluation.accuracy == pytest.approx(accuracy_score(truth, given))
    assert evaluation.macro_f1 == pytest.approx(f1_score(truth, given, average="macro", zero_division=0))
    assert evaluation.micro_f1 == pytest.approx(f1_score(truth, given, average="micro", zero_division=0))
    assert evaluation.loss == pytest.approx(log_loss(truth.ravel(), scores.ravel()), rel=1e-6)
    assert evaluation.mean_ap > 0.8
    # The figures of the run are those of the model that predicts.
    assert run.test.mean_ap == pytest.approx(evaluation.mean_ap, abs=1e-6)
    assert run.test.accuracy == evaluation.accuracy
    assert run.test.loss == pytest.approx(evaluation.loss, rel=1e-4)
    dataset = hubtune.ListDataset(data)
    assert (dataset.label_list, dataset.num_labels) == ([*LABELS], 4)


def test_predictions_have_the_labels_from_their_thresholds(solved):
    run, data = solved
    model = hubtune.load_model(run.path)
    least = dict(zip(model.labels, model.card.thresholds, strict=True))
    rows = [*model.predict([data / "pics" / f"{number:03}.png" for number in range(40)])]
    assert any(len(row.labels) > 1 for row in rows) and any(not row.labels for row in rows)
    for row in rows:
        assert (row.label, row.score) == (None, None)
        assert row.labels == {name: score for name, score in row.scores.items() if score >= least[name]}
        document = row.as_dict(top=2)
        assert document["labels"] == [{"label": name, "score": score} for name, score in row.labels.items()]
        assert len(document["top"]) == 2
    [gone] = model.predict([data / "gone.png"])
    assert gone.error and gone.labels == {} and gone.label is None


@pytest.mark.slow
def test_a_run_of_all_strategies_learns_and_keeps_its_best_model(digitnet, solved, tmp_path):
    _, data = solved
    for strategy in ("default_finetune", "last_stage", "from_frozen"):
        run = train(digitnet, data, tmp_path / strategy, strategy=strategy, epochs=4, learning_rate=1e-2)
        card = read_card(run.best_model)
        assert (card.multi_label, len(card.thresholds), card.labels) == (True, 4, [*LABELS])
        assert run.test.mean_ap > 0.5
        figures = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        best = max(entry["mean_ap"] for entry in figures if entry["list"] == "validate")
        if strategy == "default_finetune":
            assert run.validate.mean_ap == pytest.approx(best, abs=1e-6)
        truth, scores = _scores(hubtune.load_model(run.path), data)
        assert run.test.mean_ap == pytest.approx(average_precision_score(truth, scores), abs=1e-5)


@pytest.mark.slow
def test_a_stopped_run_is_continued_to_the_same_weights(digitnet, solved, tmp_path):
    _, data = solved
    options = {"strategy": "default_finetune", "epochs": 3, "save_ckpt_interval": 2}
    whole = train(digitnet, data, tmp_path / "whole", **options)
    with pytest.raises(hubtune.errors.StoppedError):
        train(digitnet, data, tmp_path / "stopped", callback=AtStep(7, press_ctrl_c), **options)
    stopped = train(digitnet, data, tmp_path / "stopped", resume=True, **options)
    assert weight_bytes(stopped) == weight_bytes(whole)
    assert read_card(stopped.best_model).thresholds == read_card(whole.best_model).thresholds


@pytest.mark.slow
def test_a_model_goes_on_from_another_one(digitnet, solved, tmp_path):
    run, data = solved
    module = hubtune.Module(str(run.path))
    further = train(module, data, tmp_path / "further", strategy="default_finetune", learning_rate=1e-6)
    assert further.test.mean_ap == pytest.approx(run.test.mean_ap, abs=0.1)


def test_what_is_for_one_class_a_picture_is_refused_in_a_sentence(digitnet, solved, tmp_path):
    run, data = solved
    for options, message in (
        ({"loss": "focal"}, "multi-label lists take bce"),
        ({"balance": "sampler"}, "counts classes"),
        ({"strategy": {"name": "frozen", "head": "logistic"}}, "multi-label lists take ridge"),
        ({"engine": "openvino-int8", "strategy": "frozen"}, "take openvino"),
    ):
        with pytest.raises(UsageError, match=message):
            train(digitnet, data, tmp_path / "refused", **options)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "train_list.txt").write_text(
        "".join(f"{data}/pics/{number:03}.png {number % 2}\n" for number in range(8))
    )
    with pytest.raises(UsageError, match="these have one class a picture"):
        tiny_task(digitnet, tmp_path / "one", tmp_path / "no", loss="bce").finetune_and_eval()
    with pytest.raises(ModelError, match="multi-label"):
        hubtune.load_model(run.path).evaluate(
            hubtune.BaseCVDataset(tmp_path / "one", test_list_file="train_list.txt", label_list=[*LABELS]),
            "test",
        )


@pytest.mark.slow
def test_the_commands_work_from_a_table_to_a_measured_model(tmp_path, run_hubtune):
    paths, truth = draw_labelled(tmp_path, 90)
    write_label_table(tmp_path / "table.csv", paths, truth)

    def run(*arguments):
        done = run_hubtune(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done

    split = run("split", "table.csv", "--val", "20%", "--test", "20%", "--out", "lists")
    assert "multi-label, 4 labels" in split.stdout + split.stderr
    first = (tmp_path / "lists/train_list.txt").read_text().splitlines()[0]
    assert first.partition("\t")[2].count(",") == 3
    dataset = hubtune.ListDataset(tmp_path / "lists")
    for name, share in (("train", 0.6), ("validate", 0.2), ("test", 0.2)):
        members = dataset.label_sets.matrix[[entry.label for entry in dataset.examples(name)]]
        assert np.abs(members.sum(axis=0) - share * truth.sum(axis=0)).max() <= 2
    run("finetune", "lists", "-o", "module.name=digitnet", "-o", "run=runs/a")
    document = json_of(
        run("evaluate", "runs/a", "--json", "--predictions", "answers.csv", "--csv", "labels.csv")
    )
    assert document["mean_ap"] > 0.5 and len(document["per_label"]) == 4
    with (tmp_path / "labels.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == [*LABELS]
    assert "mAP" in run("evaluate", "runs/a", "--on", "table.csv").stdout
    predicted = run("predict", "pics/000.png", "pics/001.png", "--model", "runs/a", "--csv", "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 2 and {*";".join(row["labels"] for row in rows).split(";")} <= {*LABELS, ""}
    assert "2 rows" in predicted.stderr
    refused = run_hubtune(
        "predict", "pics/000.png", "--sort-into", "sorted", "--model", "runs/a", cwd=tmp_path
    )
    assert refused.returncode == 2 and "several labels" in refused.stderr


@pytest.mark.slow
def test_two_runs_are_compared_by_pictures_with_all_labels_right(digitnet, solved, tmp_path):
    run, data = solved
    other = train(digitnet, data, tmp_path / "other", strategy="default_finetune", epochs=1)
    comparison = hubtune.compare_runs([run.path, other.path])
    [(_, _, pair)] = comparison.pairs
    assert pair.count == 20
    assert comparison.evaluations[0].mean_ap == pytest.approx(run.test.mean_ap)


@pytest.mark.slow
def test_lists_with_a_single_label_each_are_measured_for_a_multi_label_model(solved, tmp_path):
    run, data = solved
    lines = (data / "test_list.txt").read_text().splitlines()
    single = [line for line in lines if line.partition("\t")[2].count("1") == 1]
    (data / "single_list.txt").write_text("\n".join(single) + "\n")
    model = hubtune.load_model(run.path)
    dataset = hubtune.BaseCVDataset(
        data, test_list_file="single_list.txt", label_list=[*LABELS], labels_are=MULTI_LABEL
    )
    assert model.evaluate(dataset, "test").count == len(single)


@pytest.mark.slow
def test_other_data_is_measured_if_it_says_what_it_is(solved, tmp_path, run_hubtune):
    run, _ = solved
    paths, truth = draw_labelled(tmp_path, 12, seed=5)
    folders = tmp_path / "folders"
    for label, path in zip(("red", "blue"), paths, strict=False):
        (folders / label).mkdir(parents=True)
        (folders / label / "a.png").write_bytes((tmp_path / path).read_bytes())
    refused = run_hubtune("evaluate", run.path, "--on", folders)
    assert refused.returncode == 4 and "--labels-are multi-label" in refused.stderr
    said = run_hubtune("evaluate", run.path, "--on", folders, "--labels-are", "multi-label", "--json")
    assert json_of(said)["count"] == 2
    # All pictures of a list may have the same labels.
    one = [(path, row) for path, row in zip(paths, truth, strict=True) if (row == truth[0]).all()]
    table = write_label_table(tmp_path / "one.csv", *zip(*one, strict=True))
    assert json_of(run_hubtune("evaluate", run.path, "--on", table, "--json"))["count"] == len(one)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_exports_give_the_same_labels(solved, tmp_path, form):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[form])
    run, _ = solved
    export = hubtune.export_model(hubtune.load_model(run.path), tmp_path / form, form)
    assert export.parity.files.labels == export.parity.pixels.labels == 0
    assert export.parity.files.scores < 1e-4
    settings = json.loads((tmp_path / form / "preprocessing.json").read_text())
    thresholds = read_card(run.best_model).thresholds
    assert settings["thresholds"] == dict(zip(LABELS, thresholds, strict=True))
    with pytest.raises(ModelError, match="PaddleHub's classifiers give one class"):
        hubtune.export_model(hubtune.load_model(run.path), tmp_path / "hub", "paddlehub")
