"""The job that this process takes part in, if a launcher has started several."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hubtune.errors import HubtuneError, UsageError
from hubtune.log import logger
from hubtune.ranks import Rank
from hubtune.runs.signals import stop_on_signals
from hubtune.text import plural
from hubtune.train.distributed.group import Follower, RankGroup
from hubtune.train.distributed.launch import check_platform
from hubtune.train.distributed.rendezvous import connect_to_leader, wait_for_peers

MAX_WAIT = "HUBTUNE_MAX_WAIT"
"""The variable that says how many minutes a process waits for the others to start."""
_MOST_MINUTES = 30.0

_group: RankGroup | None = None


@contextmanager
def leading(rank: Rank, check: Callable[[], None] = lambda: None) -> Iterator[RankGroup | None]:
    """Lead the other ranks while the block runs, and end their part with it; ``None``: there are no others.

    Inside another such block, the ranks of that one are led. ``check`` is called while others are waited for.

    Raises:
        MachineError: if they do not come, or Paddle has no processes on this system.
    """
    global _group
    if rank.size == 1 or _group is not None:
        yield _group
        return
    check_platform()
    logger.info("waiting for %s", plural(rank.size - 1, "other rank"))
    group = RankGroup(rank, wait_for_peers(rank, max_wait_seconds(), check))
    for peer in group.peers:
        logger.info("%s is here", peer.name)
    _group, code = group, 1
    try:
        yield group
        code = 0
    except BaseException as error:
        code = _exit_code(error)
        raise
    finally:
        _group = None
        group.close(code)


def follow(rank: Rank, run: Callable[[Follower], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Take part as another rank than rank 0, whose last message is returned; its log goes to rank 0.

    The process ends, with the exit code of rank 0, if the job does not succeed.
    """
    follower = Follower(rank, connect_to_leader(rank, max_wait_seconds()))
    handlers, propagates = logger.handlers[:], logger.propagate
    logger.handlers[:], logger.propagate = [follower.log_handler()], False
    try:
        with stop_on_signals(lambda text: None, follower.pass_on):  # rank 0 decides when to stop
            logger.info("rank %d of %d: process %d", rank.number, rank.size, os.getpid())
            return run(follower)
    except HubtuneError as error:
        follower.fail(error)
        follower.wait_for_end()
    except Exception as error:
        logger.exception("rank %d has failed", rank.number)
        follower.fail(error)
        raise
    finally:
        follower.close()
        logger.handlers[:], logger.propagate = handlers, propagates


def max_wait_seconds() -> float:
    text = os.environ.get(MAX_WAIT, "")
    try:
        minutes = float(text) if text else _MOST_MINUTES
    except ValueError:
        minutes = -1
    if not 0 < minutes < 1e6:
        raise UsageError(f"{MAX_WAIT}={text} is not a number of minutes")
    return 60 * minutes


def _exit_code(error: BaseException) -> int:
    if isinstance(error, HubtuneError):
        return error.exit_code
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code or 1
    return 130 if isinstance(error, KeyboardInterrupt) else 1
