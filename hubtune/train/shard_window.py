"""The number of tar shards that an epoch is shuffled in at once, which is a part of a run's result."""

from collections.abc import Sequence

from hubtune.data.listing import ImageEntry
from hubtune.data.shards.cache import LIMIT_VARIABLE, shard_cache_limit
from hubtune.data.shards.members import shards_of
from hubtune.log import logger
from hubtune.recipe.schema import RunConfig
from hubtune.text import format_bytes

# Of the cache: a window, the next one, which is fetched meanwhile, and room for evaluations.
_WINDOW_SHARE, _WHOLE_SHARE = 1 / 3, 3 / 4


def settle_shard_window(config: RunConfig, images: Sequence[ImageEntry], *, by_gradients: bool) -> RunConfig:
    """Return the configuration with the window, if the shards are in a bucket and do not fit into the cache.

    ``images`` are those of the training list; ``by_gradients``: whether there are epochs to be shuffled.

    Raises:
        DataError: the index of a shard is damaged.
        UsageError: the limit of the cache is not a size.
    """
    if not by_gradients or config.shard_window is not None:
        return config
    shards, _ = shards_of([image.path for image in images])
    sizes = [shard.entry.size for shard in shards if shard.address is not None]
    limit = shard_cache_limit()
    if sum(sizes) <= limit * _WHOLE_SHARE:
        return config
    window = max(1, int(limit * _WINDOW_SHARE) // max(sizes))
    logger.info(
        "train.shard_window: %d of %d shards; pictures are shuffled in as many at a time, as the cache of "
        "shards has %s (%s)",
        *(window, len(sizes), format_bytes(limit), LIMIT_VARIABLE),
    )
    if 3 * max(sizes) > limit:
        logger.warning(
            "the cache of shards holds fewer than three (the largest has %s): the pictures of others are "
            "fetched one by one. Set %s to %s or more",
            *(format_bytes(max(sizes)), LIMIT_VARIABLE, format_bytes(3 * max(sizes))),
        )
    return config.model_copy(update={"shard_window": window})
