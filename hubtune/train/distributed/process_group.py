"""Sums of tensors over all ranks by ``paddle.distributed``, in an order that no number of ranks changes.

A floating-point sum depends on the order of its terms. Here it is that of a fixed tree over the shards of a
batch, of which each rank holds consecutive ones. The elements of the tensors are divided among the ranks:
each adds up its part for all, and then all get all parts. That moves as many bytes as a ring all-reduce.
"""

import os
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import paddle
from paddle import distributed

from hubtune.ranks import Rank


class ProcessGroup:
    """The collective operations of a job's ranks: NCCL on GPUs, gloo on CPUs."""

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def sum_shards(self, own: Sequence[Callable[[], paddle.Tensor]], shards: int) -> "PendingSum":
        """Compute the vectors of this rank's shards; the returned sum over all ranks is still to be made.

        Args:
            own: return the float32 vectors ``[n]`` of this rank's shards, each called once, in order; the
                next ones are those of the next rank.
            shards: number of all shards, a multiple of the number of ranks.
        """
        # Where the tree has a node for a rank's shards, their sum is all that has to be kept and sent.
        if _has_node(shards, self.size):
            return PendingSum(self, [tree_sum(own)])
        return PendingSum(self, [vector() for vector in own])

    def add_up(self, vectors: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """Return the sum of the vectors of all ranks, the same bits on each.

        Raises:
            RuntimeError: if another rank cannot be reached.
        """
        if self.size == 1:
            return tree_sum([lambda vector=vector: vector for vector in vectors])  # type: ignore[misc]
        length = vectors[0].shape[0]
        padded = [_padded(vector, self.size) for vector in vectors]
        parts = [self._exchange(vector) for vector in padded]
        # parts[i][r] is the part of the i-th vector of rank r.
        ordered = [parts[i][r] for r in range(self.size) for i in range(len(parts))]
        total = paddle.empty_like(padded[0])
        own = tree_sum([lambda part=part: part for part in ordered])  # type: ignore[misc]
        distributed.stream.all_gather(total, own)
        return total[:length]

    def _exchange(self, vector: paddle.Tensor) -> list[paddle.Tensor]:
        """Return this rank's part of the vector of each rank."""
        rank = distributed.get_rank()
        parts = []
        for source in range(self.size):  # gloo has no all-to-all
            part = paddle.empty([vector.shape[0] // self.size], vector.dtype)
            distributed.scatter(part, vector.split(self.size) if source == rank else None, src=source)
            parts.append(part)
        return parts


@dataclass(frozen=True)
class PendingSum:
    """What a rank contributes to a sum."""

    group: ProcessGroup
    vectors: Sequence[paddle.Tensor]

    def add_up(self) -> paddle.Tensor:
        """Return the sum over all ranks, which all have to ask for; see :meth:`ProcessGroup.add_up`."""
        return self.group.add_up(self.vectors)


def start_process_group(rank: Rank, master: str, own_host: str) -> ProcessGroup:
    """Start Paddle's process group, in which all ranks take part.

    Args:
        rank: this process.
        master: host and port where rank 0 listens.
        own_host: address of this machine, as other ranks see it.
    """
    on_gpu = paddle.device.get_device().startswith("gpu")
    hosts = [own_host] * rank.size  # only their number is used
    settings = {
        "PADDLE_TRAINER_ID": str(rank.number),
        "PADDLE_TRAINERS_NUM": str(rank.size),
        "PADDLE_MASTER": master,
        "PADDLE_CURRENT_ENDPOINT": f"{own_host}:{free_port()}",
        "PADDLE_TRAINER_ENDPOINTS": ",".join(f"{host}:{number}" for number, host in enumerate(hosts, 1)),
        "PADDLE_DISTRI_BACKEND": "nccl" if on_gpu else "gloo",
        "FLAGS_selected_gpus": paddle.device.get_device().partition(":")[2] or "0",
    }
    # A host's own name may stand for 127.0.0.1, which gloo would tell the other machines.
    interface = _interface_of(own_host)
    if interface is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    # A launcher's own master would be preferred to this one, and may be a server of another kind.
    others = {name: os.environ.pop(name) for name in ("MASTER_ADDR", "MASTER_PORT") if name in os.environ}
    os.environ.update(settings)
    try:
        with _silent_stderr():
            distributed.init_parallel_env()
    finally:
        os.environ.update(others)
    return ProcessGroup(rank.size)


def free_port() -> int:
    """Return a port that no program uses at this moment."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def tree_sum(values: Sequence[Callable[[], paddle.Tensor]]) -> paddle.Tensor:
    """Add up tensors in the order of a tree, whose nodes divide their terms by the smallest prime factor.

    Each is computed when it is its turn: no more than the depth of the tree are in memory.
    """
    if len(values) == 1:
        return values[0]()
    size = len(values) // _smallest_factor(len(values))
    total = tree_sum(values[:size])
    for start in range(size, len(values), size):
        total = total + tree_sum(values[start : start + size])
    return total


def _has_node(shards: int, ranks: int) -> bool:
    """Whether the tree over the shards has a level of as many nodes as there are ranks."""
    nodes = 1
    while nodes < ranks:
        nodes *= _smallest_factor(shards // nodes)
    return nodes == ranks


def _smallest_factor(number: int) -> int:
    return next(factor for factor in range(2, number + 1) if number % factor == 0)


def _padded(vector: paddle.Tensor, multiple: int) -> paddle.Tensor:
    missing = -vector.shape[0] % multiple
    return paddle.concat([vector, paddle.zeros([missing], vector.dtype)]) if missing else vector


def _interface_of(address: str) -> str | None:
    """Return the name of the network interface that has an IPv4 address; ``None`` if it is not known."""
    if not sys.platform.startswith("linux"):
        return None
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(probe, 0x8915, request)  # SIOCGIFADDR
                if socket.inet_ntoa(answer[20:24]) == address:
                    return name
    return None


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what Paddle's C++ code prints about flags and connections off the terminal."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
