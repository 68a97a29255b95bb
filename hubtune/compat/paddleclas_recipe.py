"""Translates whole configurations of PaddleClas into recipes, and lists what they leave out."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubtune.compat.config_values import ConfigValues
from hubtune.compat.paddleclas_augment import translate_augmentation
from hubtune.compat.paddleclas_file import (
    DISTILLATION,
    operations_of,
    read_paddleclas,
    refusing_odd_values,
    section,
    student,
)
from hubtune.compat.paddleclas_label_loss import translate_label_loss
from hubtune.compat.paddleclas_labels import answer_name, has_several_labels, read_label_answer
from hubtune.compat.paddleclas_optimizer import translate_optimizer
from hubtune.compat.translation import Translation
from hubtune.data.list_labels import MULTI_LABEL
from hubtune.data.lists import read_label_lines
from hubtune.errors import ModelError
from hubtune.models.catalog import BY_NAME, find

_EPOCH_ENDS = 100_000  # steps between evaluations, so that only the ends of epochs have one
_SUFFIXES = (".pdparams", ".tar", ".safetensors")  # of weights, which PaddleClas names without

# Keys that need no counterpart, because hubtune does the same by itself.
_BY_ITSELF = {
    "Global.class_num": "the lists say how many classes there are",
    "Global.total_images": "the lists say how many pictures there are",
    "Arch.class_num": "the lists say how many classes there are",
    "Global.save_interval": "a checkpoint is saved at the end of each epoch: see train.keep",
    "Global.checkpoints": "hubtune finetune RECIPE --resume continues a run",
    "Global.eval_during_train": "the validation list is evaluated at the end of each epoch",
    "Global.validate": "the validation list is evaluated at the end of each epoch",
    "Global.mode": "hubtune finetune trains, hubtune evaluate measures",
    "Global.use_visualdl": "hubtune finetune RECIPE --log visualdl",
    "Global.vdl_dir": "hubtune finetune RECIPE --log visualdl",
    "Global.save_inference_dir": "hubtune export writes the models",
    "Global.start_eval_epoch": "the validation list is evaluated at the end of each epoch",
    "Global.load_static_weights": "the kind of a weights file is recognised",
    "Global.topk": "hubtune evaluate computes top-5",
    "Infer": "hubtune predict takes the model's own preprocessing",
    "Metric": "accuracy chooses the best model; hubtune evaluate computes the other figures",
    "Loss.Eval": "the validation list's loss is cross entropy",
    "Arch.use_sync_bn": "BatchNorm counts a shard of the batch: see train.shards",
    "DataLoader.Train.loader": "how pictures are loaded does not change results",
    "DataLoader.Eval.loader": "how pictures are loaded does not change results",
    "DataLoader.Eval.sampler": "results of evaluation do not depend on it",
    "DataLoader.Train.shuffle_seed": "train.seed",
    "DataLoader.Eval.shuffle_seed": "results of evaluation do not depend on it",
}
# The same of several labels per picture.
_BY_ITSELF_LABELS = {
    "Global.use_multilabel": "data.labels_are says that pictures have several labels",
    "Metric": "mean average precision chooses the best model; hubtune evaluate computes the other figures",
    "Loss.Eval": "the validation list's loss is binary cross entropy",
    "DataLoader.Train.dataset.label_ratio": "it serves weight_ratio only",
    "DataLoader.Eval.dataset.label_ratio": "it serves weight_ratio only",
    "Arch.use_ml_decoder": "the head is a linear layer on the pooled features",
    "MLDecoder": "the head is a linear layer on the pooled features",
}


def translate_paddleclas(file: str | os.PathLike[str]) -> Translation:
    """Translate a configuration into a recipe.

    Its ``recipe`` has the sections of one, ``left_out`` says what it lacks, and ``as_yaml()`` is its text.

    Raises:
        UsageError: the file cannot be read.
        ModelError: it is not a PaddleClas configuration, or trains what hubtune does not have.
    """
    return translate_sections(read_paddleclas(Path(file)), os.fspath(file))


def translate_sections(data: dict[str, Any], source: str) -> Translation:
    """Translate the sections of a configuration; ``source`` is its name in messages."""
    with refusing_odd_values(source):
        return _translate(data, source)


def _translate(data: dict[str, Any], source: str) -> Translation:
    _check_kind(data, source)
    distilled = section(data, "Arch").get("name") == DISTILLATION
    values = ConfigValues({**data, "Arch": student(data)}, source)
    several = has_several_labels(data)
    translation = Translation(source, {**_BY_ITSELF, **(_BY_ITSELF_LABELS if several else {})})
    if distilled:
        translation.leave_out("Arch.models", "the teacher", "the student is trained on the labels alone")
    translation.recipe = {"data": {}, "module": {}, "strategy": {}, "train": {}}
    _translate_module(values, translation)
    _translate_lists(values, translation, data)
    translate_augmentation(values, translation)
    translate_optimizer(values, translation)
    if several:
        translation.recipe["data"]["labels_are"] = MULTI_LABEL
        _translate_label_answer(translation, data)
        translate_label_loss(values, translation, student(data).get("class_num"))
    else:
        _translate_loss(values, translation)
    _translate_training(values, translation)
    translation.finish(values)
    return translation


def _check_kind(data: dict[str, Any], source: str) -> None:
    architecture = student(data)
    if "Backbone" in architecture or architecture.get("name") == "RecModel":
        raise ModelError(f"{source} trains features for a search (Arch.Backbone), not a classifier")
    if isinstance(data.get("Optimizer"), list):
        raise ModelError(f"{source} has several optimizers, and a recipe has one")
    if architecture.get("name") is None and "DataLoader" not in data:
        raise ModelError(
            f"{source} describes a model in use, and no training: take it with hubtune import paddleclas "
            "CHECKPOINT --config FILE"
        )
    if architecture.get("name") is None:
        raise ModelError(f"{source} has no Arch.name, the network")


def _translate_module(values: ConfigValues, translation: Translation) -> None:
    name = str(values.take("Arch.name"))
    find(name)  # raises with similar names
    pretrained, ssld = values.take("Arch.pretrained"), values.take("Arch.use_ssld") is True
    given = values.text("Global.pretrained_model") or (pretrained if isinstance(pretrained, str) else None)
    weights = "official" if pretrained is True else "none"
    if given is not None:
        stem = Path(given).name.removesuffix(".pdparams").removesuffix("_pretrained").lower()
        there = next((text for end in ("", *_SUFFIXES) if Path(text := f"{given}{end}").exists()), None)
        if there is None and stem in (name.lower(), f"{name}_ssld".lower()):
            weights, ssld = "official", stem != name.lower()
        else:
            weights = there or (given if given.endswith(_SUFFIXES) else f"{given}.pdparams")
    if ssld and weights == "official":
        if f"{name}_ssld" in BY_NAME:
            name = f"{name}_ssld"
        else:
            translation.leave_out("Arch.use_ssld", True, f"there are no SSLD weights of {name}")
    translation.recipe["module"] = {"name": name, "weights": weights}


def _translate_lists(values: ConfigValues, translation: Translation, data: Mapping[str, Any]) -> None:
    base = values.text("DataLoader.Train.dataset.image_root")
    train = values.text("DataLoader.Train.dataset.cls_label_path")
    if base is None or train is None:
        missing = "DataLoader.Train.dataset lacks image_root or cls_label_path, the training list: add them"
        raise ModelError(f"{translation.source}: {missing}")
    base = os.path.normpath(base)
    values.take("DataLoader.Train.dataset.name")
    lists = translation.recipe["data"]
    lists.update(base=base, train=_relative(train, base))
    root = values.text("DataLoader.Eval.dataset.image_root")
    validate = values.text("DataLoader.Eval.dataset.cls_label_path")
    values.take("DataLoader.Eval.dataset.name")
    if validate is not None:
        if root is not None and os.path.normpath(root) != base:
            reason = f"its pictures are in {root}: write a list relative to {base}, and name it data.validate"
            translation.leave_out("DataLoader.Eval.dataset.cls_label_path", validate, reason)
        else:
            lists["validate"] = _relative(validate, base)
    answer = section(data, "Infer", "PostProcess")
    names = [answer.get(key) for key in ("label_0", "label_1")]
    labels = None if (named := answer.get("class_id_map_file")) == "None" else named
    if None not in names:
        reason = f"name the classes by a file with the lines {names[0]} and {names[1]}: data.labels"
        translation.leave_out("Infer.PostProcess.label_0", names[0], reason)
    elif labels is not None:
        if _is_of_lists(Path(str(labels)), base, student(data).get("class_num")):
            lists["labels"] = _relative(str(labels), base)
        else:
            reason = "if its lines are the classes of these lists, name it: data.labels"
            translation.leave_out("Infer.PostProcess.class_id_map_file", labels, reason)
    if workers := values.count("DataLoader.Train.loader.num_workers"):
        lists["workers"] = min(workers, 64)
    if values.take("DataLoader.Train.dataset.relabel") is True:
        lists["labels_are"] = "names"
    for part in ("Train", "Eval"):
        delimiter = values.take(key := f"DataLoader.{part}.dataset.delimiter")
        if delimiter not in (None, " ", "\t"):
            reason = "a list has a blank or a tab before the label: write it so"
            translation.leave_out(key, repr(delimiter), reason)


def _translate_label_answer(translation: Translation, data: Mapping[str, Any]) -> None:
    answer = section(data, "Infer", "PostProcess")
    known = read_label_answer(answer, translation.source)
    if known.names is not None and "labels" not in translation.recipe["data"]:
        reason = f"name the labels by a file with the lines {', '.join(known.names)}: data.labels"
        translation.leave_out("Infer.PostProcess.name", answer_name(answer), reason)
    for remark in known.remarks:
        translation.leave_out("Infer.PostProcess", answer_name(answer), remark)
    for key, value in answer.items():
        if key.strip().endswith("threshold"):
            reason = "hubtune fits the threshold of each label on the validation list"
            translation.leave_out(f"Infer.PostProcess.{key.strip()}", value, reason)


def _is_of_lists(labels: Path, base: str, classes: Any) -> bool:
    """Whether a label file is that of the lists, and not ImageNet's, which many configurations name."""
    if Path(os.path.normpath(labels)).is_relative_to(base):
        return True
    if not labels.is_file():
        return False
    return len(read_label_lines(labels)) == classes


def _relative(file: str, base: str) -> str:
    """Return a list's path as a recipe writes it, relative to the folder of the pictures."""
    return os.path.normpath(file) if Path(file).is_absolute() else os.path.relpath(file, base)


def _translate_loss(values: ConfigValues, translation: Translation) -> None:
    for name, settings in operations_of(values.take("Loss.Train", [])):
        if name == "GoogLeNetLoss":
            translation.recipe["train"].setdefault("loss", {})["auxiliary"] = 0.3
        elif name not in ("CELoss", "MixCELoss"):
            translation.leave_out(f"Loss.Train.{name}", settings, "the loss is cross entropy with the labels")
        elif (smoothing := settings.get("epsilon")) is not None:
            translation.recipe["train"].setdefault("loss", {})["label_smoothing"] = smoothing


def _translate_training(values: ConfigValues, translation: Translation) -> None:
    train = translation.recipe["train"]
    epochs, batch_size = values.count("Global.epochs"), values.count("DataLoader.Train.sampler.batch_size")
    train["epochs"] = 120 if epochs is None else epochs
    train["batch_size"] = 64 if batch_size is None else batch_size
    train["eval_interval"] = _EPOCH_ENDS
    if (interval := values.number("Global.eval_interval")) not in (None, 1):
        reason = "the validation list is evaluated at the end of each epoch"
        translation.leave_out("Global.eval_interval", interval, reason)
    if (seed := values.count("Global.seed")) is not None:
        train["seed"] = seed
    if log_interval := values.count("Global.print_batch_step"):
        train["log_interval"] = log_interval
    device = values.text("Global.device")
    if device == "cpu":
        train["device"] = "cpu"
    elif device not in (None, "gpu"):
        translation.leave_out("Global.device", device, "hubtune trains on a GPU or a CPU")
    if (decay := values.number("EMA.decay")) is not None:
        train["ema"] = decay
    _translate_precision(values, train)
    folder = values.text("Global.output_dir")
    if folder is not None:
        translation.recipe["run"] = os.path.join(os.path.normpath(folder), str(values.take("Arch.name")))  # noqa: PTH118
    for key in ("name", "shuffle"):  # an epoch has every picture once, in random order
        values.take(f"DataLoader.Train.sampler.{key}")
    if values.take("DataLoader.Train.sampler.drop_last") is True:
        reason = "an epoch has every picture once"
        translation.leave_out("DataLoader.Train.sampler.drop_last", True, reason)


def _translate_precision(values: ConfigValues, train: dict[str, Any]) -> None:
    if not values.has("AMP"):
        return
    used, dynamic = values.take("AMP.use_amp"), values.take("AMP.use_dynamic_loss_scaling")
    scale = values.number("AMP.scale_loss")
    values.take("AMP.level")
    if used is not False:
        train["amp"] = "fp16"
        if scale and dynamic is not True:
            train["loss_scale"] = float(scale)
