"""The number of shards of a batch, which decides what a run's result is; the number of processes does not."""

from hubtune.errors import UsageError
from hubtune.log import logger
from hubtune.recipe.schema import RunConfig

_MOST, _LEAST_IMAGES = 8, 4  # shards of a batch, and images of a shard, where the recipe does not say


def settle_shards(config: RunConfig, images: int, ranks: int, *, by_gradients: bool) -> RunConfig:
    """Return the configuration with the number of shards; a single process has none unless it says so.

    Args:
        config: of a run of ``images`` training images.
        ranks: number of processes.
        by_gradients: whether the strategy has training steps, whose batches are cut.

    Raises:
        UsageError: if the shards cannot be divided among the processes, or have no images.
    """
    if config.model_average_interval is not None:
        return _settle_local_steps(config, ranks)
    if not by_gradients or (ranks == 1 and config.shards is None):
        return config
    batch = min(config.images_per_step, images)
    count = config.shards
    if count is None:
        count = min(_MOST, max(1, batch // _LEAST_IMAGES))
    if count > batch:
        raise UsageError(
            f"train.shards={count} is more than the {batch} pictures of a batch: take at most "
            f"{batch // 2 or 1}"
        )
    if count % ranks:
        divisors = [str(number) for number in range(1, count + 1) if count % number == 0]
        multiple = -(-count // ranks) * ranks
        more = f", or cut batches into {multiple}: -o train.shards={multiple}" if multiple <= batch else ""
        raise UsageError(
            f"{ranks} processes cannot share the {count} shards of a batch of {batch} pictures evenly: start "
            f"{_joined(divisors)}{more}"
        )
    if config.shards is None:
        logger.info(
            "train.shards: %d; the result is the same on any number of processes that divides it", count
        )
    if ranks == 1:
        logger.info(
            "a batch is run in %d shards one after the other, with one thread, as several processes would; "
            "--nproc N uses more cores, with the same result",
            count,
        )
    return config.model_copy(update={"shards": count})


def _settle_local_steps(config: RunConfig, ranks: int) -> RunConfig:
    if config.shards not in (None, ranks):
        raise UsageError("train.model_average_interval trains on each process by itself: remove train.shards")
    if ranks == 1:
        raise UsageError("train.model_average_interval is for several processes: --nproc 2, or remove it")
    if config.ema is not None:
        raise UsageError("train.model_average_interval and train.ema do not go together: remove one of them")
    if config.images_per_step < ranks:
        raise UsageError(f"A batch of {config.images_per_step} has no picture for each of {ranks} processes")
    return config.model_copy(update={"shards": ranks})


def _joined(numbers: list[str]) -> str:
    return numbers[0] if len(numbers) == 1 else f"{', '.join(numbers[:-1])} or {numbers[-1]}"
