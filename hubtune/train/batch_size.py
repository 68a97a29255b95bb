"""Batch size: how many images of a batch fit into memory at once."""

from hubtune.inference.memory import ImageMemory, free_bytes

_UNKNOWN = 4 * 2**30  # bytes, if the machine does not report its free memory
_SHARE = 0.6  # of the free memory that may be used; other programs need some, too


def largest_batch(memory: ImageMemory, batch_size: int) -> int:
    """Return how many images of a batch fit into free memory: all, a half, a quarter, …"""
    free = free_bytes(swap=False)
    part = batch_size
    while part > 1 and part * memory.most > _SHARE * (_UNKNOWN if free is None else free):
        part = -(-part // 2)
    return part
