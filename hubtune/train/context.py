"""The context of a run: what every trainer works with."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import paddle

from hubtune.data.images.channel_statistics import ChannelStatistics
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import ImageEntry
from hubtune.errors import MachineError, StoppedError
from hubtune.hub.module import Module
from hubtune.inference.extract import BackboneOutput
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_table import Targets
from hubtune.inference.predict import ImageScores, Outputs
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.ranks import ALONE, Rank
from hubtune.recipe.schema import RunConfig
from hubtune.rng import seed_for
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RunFolder
from hubtune.runs.signals import Stop, StopRequested
from hubtune.storage.atomic import DISK_FULL
from hubtune.train.batch_size import BatchParts
from hubtune.train.data_checks import BadImages
from hubtune.train.distributed.group import RankGroup

_Result = TypeVar("_Result", ImageScores, BackboneOutput)


@dataclass(frozen=True)
class RunData:
    """The images of a run.

    Attributes:
        labels: class names; of multi-label data, those of the sets of labels.
        examples: the images of each list: ``train``, ``validate`` and ``test``.
        groups: path → number of the image's group, for images that ``split.json`` groups.
        remarks: what a person should know about the lists, one sentence each.
        label_sets: the labels of multi-label data, and their sets.
    """

    labels: list[str]
    examples: dict[str, list[ImageEntry]]
    groups: Mapping[Path, int]
    remarks: Sequence[str] = ()
    label_sets: LabelSets | None = None

    @property
    def output_labels(self) -> list[str]:
        """Names of what a network answers: the classes, or the labels of multi-label data."""
        return self.labels if self.label_sets is None else [*self.label_sets.labels]

    @property
    def answers(self) -> Outputs:
        return Outputs(len(self.output_labels), self.label_sets is not None)

    @property
    def targets(self) -> Targets:
        return Targets(None if self.label_sets is None else self.label_sets.matrix)


@dataclass(frozen=True)
class RunContext:
    """What every trainer works with.

    Attributes:
        module: the pretrained module; it is not changed.
        folder: the run folder, locked by this process.
        stop: checked wherever the run can stop.
        checkpoint: step of the checkpoint to resume from; ``None`` for the newest one that is intact.
        rank: this process among those of the job.
        group: the other processes of the job, if there are any and this one leads.
        statistics: mean and standard deviation of the training images, if the recipe asks for them.
        parts: how many images of a batch are computed at once, under ``batch_size: auto``.
    """

    config: RunConfig
    module: Module
    data: RunData
    folder: RunFolder
    stop: Stop
    callback: Callback
    bad_images: BadImages
    checkpoint: int | None = None
    rank: Rank = ALONE
    group: RankGroup | None = None
    statistics: ChannelStatistics | None = None
    parts: BatchParts = field(default_factory=BatchParts)

    @cached_property
    def view(self) -> Preprocessing:
        """The module's preprocessing, with the recipe's ``fit``, ``size`` and ``channels``, and statistics.

        Raises:
            UsageError: if the module cannot take such images.
        """
        view = self.module.preprocessing_for(self.config)
        return view if self.statistics is None else self.statistics.of(view)

    @cached_property
    def cache(self) -> FeatureCache:
        return FeatureCache()

    @property
    def loading(self) -> dict[str, int]:
        """``batch_size`` and ``workers``, for everything that runs images through a network."""
        count = min(self.images_at_once, self.config.micro_batch or self.images_at_once)
        return {"batch_size": count, "workers": self.config.workers}

    @property
    def images_at_once(self) -> int:
        """The batch size, or fewer images if memory has run out in training."""
        return min(self.config.images_per_step, self.parts.at_once or self.config.images_per_step)

    def paths(self, name: str) -> list[Path]:
        return [example.path for example in self.data.examples[name]]

    def build_classifier(self) -> Classifier:
        """Build the network with the module's weights and a new head.

        Raises:
            ModelError: if the network cannot be adapted to the number of channels.
        """
        config = self.config
        paddle.seed(seed_for(config.seed, "init"))  # for a backbone that starts from random values
        classifier = Classifier(
            self.module.backbone,
            self.data.answers.count,
            hidden_units=config.hidden_units,
            seed=config.seed,
            dropout=config.dropout,
        )
        if self.module.weights is not None:
            classifier.load_backbone(self.module.network)
        # By the module's own statistics, which all processes know.
        classifier.take_channels(config.channels, self.module.preprocessing.grey_in_colours)
        return classifier

    def watch(
        self, name: str, results: Iterator[_Result], *, progress: str | None = None, count: int | None = None
    ) -> Iterator[_Result]:
        """Pass the results of a list's images on, recording unreadable ones and stopping on request.

        ``progress`` names this part of the run to the callback; without it, no progress is reported. The
        ``count`` of images is by default that of the list.
        """
        if progress:
            self.callback.start(progress, len(self.data.examples[name]) if count is None else count)
        for result in results:
            self.stop.check()
            if result.error is not None:
                self.bad_images.add(name, result.error)
            if progress:
                self.callback.advance(1)
            yield result

    @contextmanager
    def stops_with(self, message: str) -> Iterator[None]:
        """Turn a requested stop inside the block into a ``StoppedError`` with this message."""
        try:
            yield
        except StopRequested:
            raise StoppedError(message, self.stop.exit_code, self.folder.path) from None

    @contextmanager
    def outlives_full_disk(self, what: str) -> Iterator[None]:
        """With ``on_disk_full: warn``, log that the block could not write something, and go on."""
        try:
            yield
        except (OSError, MachineError) as error:
            cause = error.__cause__ if isinstance(error, MachineError) else error
            if self.config.on_disk_full == "stop" or getattr(cause, "errno", None) not in DISK_FULL:
                raise
            logger.warning("the disk is full: %s is left out, and training continues", what)
