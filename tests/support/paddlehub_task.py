"""A task of hubtune.paddlehub that trains in a moment."""

import hubtune.paddlehub as hub
from hubtune import ListDataset

CLASSES = {"安崎": 16, "b": 16, "c": 16}
STRATEGY = hub.DefaultFinetuneStrategy(learning_rate=3e-3)


def make_config(**options):
    given = {"num_epoch": 2, "batch_size": 8, "checkpoint_dir": "ckpt", "strategy": STRATEGY, "report": False}
    return hub.RunConfig(**{"use_cuda": False, "engine": "paddle", **given, **options})


def make_task(module, data, *, trainable=True, reader=(), dataset=None, config=None, kind=None, **others):
    inputs, outputs, _ = module.context(trainable=trainable)
    dataset = dataset or ListDataset(data)
    images = {"image_width": 32, "image_height": 32, "dataset": dataset, **dict(reader)}
    given = {
        "data_reader": hub.reader.ImageClassificationReader(**images),
        "feed_list": [inputs["image"].name],
        "feature": outputs["feature_map"],
        "num_classes": dataset.num_labels,
        "config": config or make_config(),
        **others,
    }
    return (kind or hub.ImageClassifierTask)(**given)


class Lists(hub.BaseCVDataset):
    """The lists of a folder, named as a script names them."""

    def __init__(self, base):
        super().__init__(
            base_path=base,
            train_list_file="train_list.txt",
            validate_list_file="validate_list.txt",
            test_list_file="test_list.txt",
            label_list_file="label_list.txt",
        )
