"""An engine that starts with its first images."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hubtune.inference.engine_interface import Engine
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.stored_program import StoredProgram, find_program, store_program
from hubtune.log import logger

if TYPE_CHECKING:
    from hubtune.inference.program import Subnetwork


class LazyEngine:
    """An engine that starts with its first images, and is checked on them.

    Starting takes seconds, which are saved where no image turns out to be readable.
    """

    def __init__(
        self, build: "Callable[[], Subnetwork]", wanted: str = "auto", *, key: str | None = None
    ) -> None:
        """Take a function that builds the network, and the engine's name or ``auto``.

        With the ``key`` of :func:`~hubtune.inference.stored_program.program_key`, OpenVINO's program is
        stored, and taken from there: the network is built only for images that the program was not checked
        with.
        """
        self._build, self._wanted, self._key = build, wanted, key
        self._part: Subnetwork | None = None
        self._engine: Engine | None = None
        self._shapes: dict[tuple[int, ...], bool] = {}  # of the stored program

    @property
    def name(self) -> str:
        return self._wanted if self._engine is None else self._engine.name

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        if self._engine is None and self._key is not None:
            self._engine = find_program(self._key)
            if isinstance(self._engine, StoredProgram):
                self._shapes = {**self._engine.shapes}
        if self._engine is None or (
            isinstance(self._engine, StoredProgram) and not self._engine.takes(arrays)
        ):
            self._start(arrays)
        assert self._engine is not None
        if not isinstance(self._engine, StoredProgram):
            pending = self._engine.begin(arrays)
            self._store()
            return pending
        pending = self._engine.begin(arrays)

        def wait() -> list[np.ndarray]:
            try:
                return pending()
            except RuntimeError as error:  # of OpenVINO
                logger.debug("the stored program failed (%s)", error)
                self._start(arrays)
                assert self._engine is not None
                return self._engine.begin(arrays)()

        return wait

    def _start(self, arrays: Sequence[np.ndarray]) -> None:
        from hubtune.inference.engine import start_engine  # here, as it imports Paddle

        self._part = self._part or self._build()
        self._engine = start_engine(self._part, arrays, wanted=self._wanted)
        logger.info("engine: %s", self._engine.name)

    def _store(self) -> None:
        """Store the program whenever further shapes have been checked."""
        part, shapes = self._part, getattr(self._engine, "checked_shapes", None) or {}
        if self._key is None or part is None or shapes.keys() <= self._shapes.keys():
            return
        from hubtune.inference.program import save_program

        self._shapes |= shapes
        store_program(self._key, lambda path: save_program(part, path, None, None, old=True), self._shapes)
