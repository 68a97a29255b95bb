"""What a run is: its recipe and manifest, written when it begins and compared when it is resumed."""

import hashlib
import os
import platform
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset
from hubtune.data.images.bit_depth import FULL_BITS
from hubtune.data.list_files import LABEL_LIST, relative_to
from hubtune.data.list_labels import MULTI_LABEL
from hubtune.errors import ModelError, UsageError
from hubtune.hardware.cpu import cores
from hubtune.hardware.throughput import thread_count
from hubtune.hub.module import Module
from hubtune.log import logger
from hubtune.recipe.load import dump_recipe, load_recipe
from hubtune.recipe.schema import DataSection, ModuleSection, Recipe, RunConfig, TrainSection
from hubtune.runs.folder import LISTS, RECIPE_FILE, RunFolder
from hubtune.storage.atomic import sha256_of

# Keys of the recipe that may differ in a resumed run; the budget has no effect any more.
_MAY_DIFFER = ("device", "engine", "workers", "on_disk_full", "keep", "budget")
_MAY_DIFFER_AT_TOP = ("run", "report", "reference")
_PACKAGES = "hubtune paddlepaddle paddlepaddle-gpu openvino numpy scipy pillow safetensors".split()


def write_description(
    folder: RunFolder, module: Module, dataset: BaseCVDataset, config: RunConfig, device: str
) -> None:
    """Write the recipe and the manifest of a run that begins."""
    if dataset.label_list_file is None:
        folder.write_labels(dataset.label_list)
    recipe = complete_recipe(folder.path, module, dataset, config)
    if folder.address is not None:  # the run can be continued on another machine
        recipe = recipe.model_copy(update={"run": folder.address})
    settled = {"bits": config.bits, "head": getattr(config.strategy, "head", None)}
    settled |= {"shards": config.shards, "shard_window": config.shard_window}
    manifest = {**describe_machine(device), **_describe_inputs(module, dataset), **settled}
    folder.write_description(dump_recipe(recipe), manifest)


def check_description(
    folder: RunFolder, module: Module, dataset: BaseCVDataset, config: RunConfig, device: str
) -> None:
    """Compare a run that is resumed with its beginning; with more epochs than before, it is extended.

    Raises:
        UsageError: if the recipe has changed in another way.
        ModelError: if lists, classes, weights, code or preprocessing have changed.
    """
    recorded = load_recipe(folder.path / RECIPE_FILE)
    recipe = complete_recipe(folder.path, module, dataset, config)
    _check_recipe(recorded, recipe)
    before, inputs = folder.read_manifest(), _describe_inputs(module, dataset)
    for name, title in (
        ("lists", "The lists"),
        ("labels", "The classes"),
        ("module_sha256", "The weights"),
        ("code_sha256", "The lines of module.py"),
        ("preprocessing", "The settings for how pictures enter the module"),
    ):
        # Runs of older versions have no preprocessing.
        if before.get(name, inputs[name]) != inputs[name]:
            raise ModelError(
                f"{title} have changed since {folder.path} was started: bring them back, or start a new run "
                "without --resume"
            )
    counts_epochs = config.strategy.train_keys is None or "epochs" in config.strategy.train_keys
    if counts_epochs and (more := recipe.train.epochs) > (before_epochs := recorded.train.epochs):
        logger.info(
            "%d epochs in place of %d: from here on, the rate is that of a schedule of %d; the test list is "
            "measured again",
            *(more, before_epochs, more),
        )
        folder.extend(dump_recipe(recipe))
    machine = describe_machine(device)["machine"]
    for name in ("device", "paddle_threads", "mkl_debug_cpu_type"):
        old, new = before.get("machine", {}).get(name), machine[name]
        if old != new:
            logger.warning(
                "resuming with %s %s, not %s: the result may differ in the last digits",
                *(name.replace("_", " "), new, old),
            )


def settings_at_start(folder: RunFolder, config: RunConfig) -> RunConfig:
    """Return the configuration of a run that is resumed, with the settings that it began with."""
    manifest = folder.read_manifest()
    if config.shards is None:  # chosen for the number of processes that began it
        config = config.model_copy(update={"shards": manifest.get("shards")})
    if config.shard_window is None:  # chosen for the size of the cache at its beginning
        config = config.model_copy(update={"shard_window": manifest.get("shard_window")})
    if config.bits == "auto" and "bits" not in manifest:
        config = config.model_copy(update={"bits": FULL_BITS})
    if "head" not in manifest and getattr(config.strategy, "head", None) == "ridge":
        logger.info("the run began in a version with a logistic head, and goes on with one")
        strategy = config.strategy.model_copy(update={"head": "logistic"})
        config = config.model_copy(update={"strategy": strategy})
    return config


def complete_recipe(folder: Path, module: Module, dataset: BaseCVDataset, config: RunConfig) -> Recipe:
    """Return the recipe that describes a run completely."""
    settings = config.model_dump()
    lists = {
        name: str(file.relative_to(dataset.base_path))
        if file.is_relative_to(dataset.base_path)
        else str(file)
        for name, file in (*dataset.list_files.items(), ("labels", dataset.label_list_file))
        if file is not None and name != "predict"
    }
    if dataset.label_list_file is None:  # the labels were given in code, and written into the run
        lists["labels"] = relative_to(folder / LISTS / LABEL_LIST, dataset.base_path)
    data = {name: settings[name] for name in DataSection.model_fields if name in settings}
    if dataset.label_sets is not None:  # for certain: a part of the lists might look different
        data["labels_are"] = MULTI_LABEL
    return Recipe(
        data=DataSection.model_validate({**data, **lists, "base": dataset.address or dataset.base_path}),
        module=ModuleSection(
            name=module.name, weights=module.weights or "none", trust_code=module.code is not None
        ),
        strategy=config.strategy,
        train=TrainSection(**{name: settings[name] for name in TrainSection.model_fields}),
        run=str(folder),
        report=config.report,
        reference=config.reference,
    )


def describe_machine(device: str) -> dict[str, Any]:
    """Return what a manifest says about the machine and the software."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": versions,
        "machine": {
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": cores(),
            "device": device,
            "paddle_threads": thread_count(),
            "mkl_debug_cpu_type": os.environ.get("MKL_DEBUG_CPU_TYPE"),
        },
    }


def _describe_inputs(module: Module, dataset: BaseCVDataset) -> dict[str, Any]:
    """Everything beside the recipe that must not change before a run is resumed."""
    files = {name: dataset.list_files[name] for name in LIST_NAMES}
    return {
        "lists": {name: sha256_of(file) for name, file in files.items() if file is not None},
        "labels": dataset.label_list,
        "module_sha256": module.weights_sha256,
        "code_sha256": module.code and hashlib.sha256(module.code).hexdigest(),
        # A module's own channels are always three, and older runs did not record them.
        "preprocessing": module.preprocessing.model_dump(mode="json", exclude={"channels"}),
    }


def _check_recipe(before: Recipe, now: Recipe) -> None:
    """Refuse to resume a run with another recipe, except for keys that do not change its result."""
    changed = []
    for section in Recipe.model_fields:
        if section in _MAY_DIFFER_AT_TOP:
            continue
        old, new = (getattr(recipe, section).model_dump(by_alias=True) for recipe in (before, now))
        changed += [
            f"{section}.{key} was {old.get(key)!r} and is now {new.get(key)!r}"
            for key in {**old, **new}
            if old.get(key) != new.get(key)
            and not (section == "train" and key == "epochs" and new[key] > old[key])
            # An engine rounds; the one for int8 gives another model.
            and (key not in _MAY_DIFFER or "openvino-int8" in (old.get(key), new.get(key)))
        ]
    if changed:
        raise UsageError(
            f"The recipe has changed since the run was started ({'; '.join(changed)}): resume it as it was "
            f"with hubtune finetune RUN --resume (train.epochs may grow), or start a new run without --resume"
        )
