"""Reads configuration files of PaddleClas, of all its versions, into the form of the newest one.

PaddleClas 2.0 and earlier wrote ``ARCHITECTURE:``, ``LEARNING_RATE:``, ``OPTIMIZER:``, ``TRAIN:`` and
``VALID:`` in place of ``Arch:``, ``Optimizer:`` and ``DataLoader:``. The description of an exported model
(``inference.yml``, ``deploy/configs``) has ``PreProcess:`` and ``PostProcess:`` in place of ``Infer:``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hubtune.errors import ModelError, UsageError
from hubtune.storage.yaml_reader import read_yaml

DISTILLATION = "DistillationModel"


def read_paddleclas(file: Path) -> dict[str, Any]:
    """Return the sections of a configuration; values may have any type, as there is no schema.

    Raises:
        UsageError: the file cannot be read, or is not YAML.
        ModelError: it is not a PaddleClas configuration.
    """
    if not file.is_file():
        raise UsageError(f"There is no configuration file {file}: check the path")
    data = read_yaml(file, aliases=True).data
    if isinstance(data, dict) and isinstance(data.get("ARCHITECTURE"), dict):
        return _from_static(data)
    if isinstance(data, dict) and "Arch" not in data and {"PreProcess", "PostProcess"} & data.keys():
        return _from_exported(data)
    if not isinstance(data, dict) or "Arch" not in data:
        raise ModelError(f"{file} is no PaddleClas configuration: it has no section Arch")
    return data


def section(data: Any, *keys: str) -> dict[str, Any]:
    """Return an inner section; an empty one if there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def student(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``Arch``, which in a distillation is the student's."""
    architecture = section(data, "Arch")
    if architecture.get("name") != DISTILLATION:
        return architecture
    models = architecture.get("models")
    name = str(architecture.get("infer_model_name") or "Student")
    students = [section(model, name) for model in (models if isinstance(models, list) else [])]
    return next(filter(None, students), {})


def operations_of(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and arguments of a list of operations, such as ``transform_ops``.

    Wrong values raise what :func:`refusing_odd_values` turns into a sentence, here or when they are used.
    """
    pairs = []
    for operation in value if isinstance(value, list) else [value]:
        name, arguments = next(iter(operation.items())) if isinstance(operation, dict) else (operation, None)
        pairs.append((name, arguments or {}))
    return pairs


@contextmanager
def refusing_odd_values(source: Any) -> Iterator[None]:
    """Turn the errors of values that have types that PaddleClas itself would refuse into a sentence."""
    try:
        yield
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise ModelError(f"{source} has values that PaddleClas would refuse, too ({error})") from error


def _from_static(data: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys of PaddleClas 2.0; unknown ones are left in ``Global``."""
    rest = dict(data)
    architecture, rate = (rest.pop(key, None) for key in ("ARCHITECTURE", "LEARNING_RATE"))
    optimizer, smoothing = rest.pop("OPTIMIZER", None), rest.pop("ls_epsilon", None)
    loaders = {
        name: _static_loader(rest.pop(key, None)) for name, key in (("Train", "TRAIN"), ("Eval", "VALID"))
    }
    classes = rest.pop("classes_num", None)
    rate_values = section(rate, "params")
    regularizer = section(optimizer, "regularizer")
    lr = {"name": section(rate).get("function"), "learning_rate": rate_values.get("lr"), **rate_values}
    lr.pop("lr", None)
    global_section = {
        "epochs": rest.pop("epochs", None),
        "output_dir": rest.pop("model_save_dir", None),
        "pretrained_model": rest.pop("pretrained_model", None),
        "eval_interval": rest.pop("valid_interval", None),
        **rest,
    }
    return {
        "Global": _without_none(global_section),
        "Arch": {
            "name": section(architecture).get("name"),
            **section(architecture, "params"),
            **_without_none({"class_num": classes}),
        },
        "Loss": {"Train": [{"CELoss": {"epsilon": smoothing} if _is_positive(smoothing) else {}}]},
        "Optimizer": {
            "name": section(optimizer).get("function"),
            **section(optimizer, "params"),
            "lr": _without_none(lr),
            "regularizer": {"name": regularizer.get("function"), "coeff": regularizer.get("factor")},
        },
        "DataLoader": {name: loader for name, loader in loaders.items() if loader},
    }


def _from_exported(data: dict[str, Any]) -> dict[str, Any]:
    """Return the description of an exported model in the form of ``Infer:``, without an architecture."""
    answers = section(data, "PostProcess")
    first = next((name for name in answers if name not in ("main_indicator", "SavePreLabel")), None)
    name = answers.get("main_indicator") or first
    infer = {
        "transforms": section(data, "PreProcess").get("transform_ops"),
        "PostProcess": _without_none({**section(answers, str(name)), "name": name}),
    }
    return {"Arch": {}, "Infer": _without_none(infer)}


def _static_loader(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        return {}
    rest = dict(values)
    dataset = {
        "image_root": rest.pop("data_dir", None),
        "cls_label_path": rest.pop("file_list", None),
        "transform_ops": rest.pop("transforms", None),
        "batch_transform_ops": rest.pop("mix", None),
    }
    sampler = {"batch_size": rest.pop("batch_size", None)}
    loader = {"num_workers": rest.pop("num_workers", None)}
    parts = {"dataset": dataset, "sampler": sampler, "loader": loader}
    return {**{name: _without_none(part) for name, part in parts.items()}, **rest}


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0
