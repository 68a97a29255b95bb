"""Training that takes a moment: a small network, few images, few steps."""

from safetensors.numpy import load_file

import hubtune
from hubtune.runs.callbacks import Callback


def smallnet():
    return hubtune.Module("smallnet", weights=None)


def tiny_config(folder, **options):
    defaults = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "report": False}
    return hubtune.RunConfig(checkpoint_dir=folder, **{**defaults, **options})


def tiny_task(module, data, folder, **options):
    return hubtune.ImageClassifierTask(module, hubtune.ListDataset(data), tiny_config(folder, **options))


def train(module, data, folder, *, callback=None, resume=False, checkpoint=None, **options):
    """Train on the lists of ``data`` without printing, and return the run in ``folder``."""
    task = tiny_task(module, data, folder, **options)
    callback = callback or Callback()
    return task.finetune_and_eval(callback=callback, resume=resume, checkpoint=checkpoint)


def train_frozen(module, data, folder, *, settings=None, **options):
    """Train by strategy `frozen` with these settings of it; ``options`` are those of :func:`train`."""
    return train(module, data, folder, strategy=hubtune.FrozenStrategy(**(settings or {})), **options)


def weight_bytes(run):
    return (run.best_model / "model.safetensors").read_bytes()


def weight_arrays(folder):
    return load_file(folder / "model.safetensors")
