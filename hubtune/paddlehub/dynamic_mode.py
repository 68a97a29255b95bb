"""Paddle's dynamic mode, which all computation of hubtune needs."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import paddle

from hubtune.log import logger, show_on_stderr

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def in_dynamic_mode(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Decorate a function that computes: it leaves the static mode, which PaddleHub 2.x asked scripts for.

    The mode stays dynamic: to restore it would disturb another thread that computes at the same time.
    """

    @wraps(function)
    def call(*arguments: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
        if not paddle.in_dynamic_mode():
            show_on_stderr()
            logger.info("paddle.enable_static() is undone, because hubtune computes in dynamic mode")
            paddle.disable_static()
        return function(*arguments, **options)

    return call
