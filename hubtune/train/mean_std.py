"""``data.mean_std: from_data``: a run's mean and standard deviation, measured once on its training images."""

import json
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from hubtune.data.images.channel_statistics import ChannelStatistics, images_to_measure, measure_channels
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import DataError, ModelError
from hubtune.log import logger
from hubtune.runs.folder import MEAN_STD_FILE
from hubtune.storage.atomic import write_atomically
from hubtune.storage.regular_file import read_json
from hubtune.train.context import RunContext


def settle_mean_std(context: RunContext) -> RunContext:
    """Return the context with the statistics that the recipe asks for: measured, or as the run recorded them.

    Raises:
        DataError: no training image can be read, or a channel has the same value in all pixels.
        ModelError: the run's record is damaged.
    """
    if context.config.mean_std == "module":
        return context
    if context.module.weights is not None:
        logger.warning(
            "the weights of %s were trained with their own mean and standard deviation: remove "
            "data.mean_std=from_data, unless the pictures are of quite another kind",
            context.module.name,
        )
    file = context.folder.path / MEAN_STD_FILE
    statistics = _read(file) if file.exists() else _measure(context, file)
    mean, std = (", ".join(map(str, values)) for values in (statistics.mean, statistics.std))
    logger.info("mean %s, standard deviation %s, of %d training pictures", mean, std, statistics.images)
    return replace(context, statistics=statistics)


def _read(file: Path) -> ChannelStatistics:
    try:
        record = read_json(file)
        view = Preprocessing(mean=record["mean"], std=record["std"])
        return ChannelStatistics(view.mean, view.std, int(record["images"]))
    except (OSError, ValueError, TypeError, LookupError, ValidationError) as error:
        raise ModelError(f"{file} is damaged: start a new run without --resume") from error


def _measure(context: RunContext, file: Path) -> ChannelStatistics:
    paths = images_to_measure(context.paths("train"))
    context.callback.start("mean and standard deviation", len(paths))

    def advance() -> None:
        context.stop.check()
        context.callback.advance(1)

    with context.stops_with("Stopped before training began"):
        workers = context.config.workers
        statistics = measure_channels(paths, context.view, workers=workers, advance=advance)
    if statistics is None:
        raise DataError("No training picture can be read, of which data.mean_std=from_data is the mean")
    if not all(statistics.std):
        raise DataError(
            "A channel has the same value in all training pictures, so there is no standard deviation to "
            "divide by: remove data.mean_std=from_data"
        )
    write_atomically(file, json.dumps(statistics._asdict()) + "\n")
    return statistics
