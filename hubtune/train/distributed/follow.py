"""The part of all ranks but rank 0 in a job: they carry out rank 0's orders, and write no file of the run."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from pydantic import TypeAdapter

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import ImageEntry
from hubtune.errors import ModelError
from hubtune.hardware import cpu, throughput
from hubtune.hardware.device import select_device
from hubtune.hub.module import Module
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.load_model import load_model
from hubtune.log import logger
from hubtune.models.classifier import Classifier
from hubtune.recipe.schema import RunConfig
from hubtune.runs.callbacks import Callback
from hubtune.runs.folder import RunFolder
from hubtune.runs.signals import Stop
from hubtune.train.checkpoint import restore_optimizer
from hubtune.train.context import RunContext, RunData
from hubtune.train.data_checks import BadImages
from hubtune.train.distributed.group import Follower
from hubtune.train.distributed.message import Message
from hubtune.train.distributed.process_group import start_process_group
from hubtune.train.distributed.sharded_gradients import ShardedGradients, ShardFigures
from hubtune.train.distributed.shared_images import encode_outputs, encode_scores, send_share
from hubtune.train.evaluator import Scorer
from hubtune.train.frozen_head import features_backbone_of, take_second_order
from hubtune.train.gradient import GradientTraining, TrainedPart, take_trained_head, whole_network
from hubtune.train.last_stage import activations_backbone, last_stage_part
from hubtune.train.optimizer import Precision


def carry_out_orders(
    follower: Follower, *, module: Module | None = None, trust_code: bool = False
) -> Mapping[str, Any]:
    """Carry out rank 0's orders until it ends the job, and return what the last one says.

    Args:
        follower: the connection.
        module: the pretrained module, if this process has loaded it already.
        trust_code: whether code in a module folder may run.

    Raises:
        HubtuneError: if this machine lacks what the run needs, such as the module's weights.
    """
    worker = _Worker(follower, module, trust_code)
    while (message := follower.receive()).document["order"] != "end":
        worker.carry_out(message)
    return message.document


# Followers write nothing into a run.
_NO_FOLDER = Path("/nonexistent/run")


class _CollectedBadImages(BadImages):
    """Unreadable images, to be reported to rank 0."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, name: str, error: ImageError) -> None:
        self.found.append((error.path, error.reason))

    def take(self) -> list[tuple[str, str]]:
        found, self.found = self.found, []
        return found


class _Worker:
    """Carries out orders; each order is a method."""

    def __init__(self, follower: Follower, module: Module | None, trust_code: bool) -> None:
        self._follower, self._module, self._trust_code = follower, module, trust_code
        self._bad_images = _CollectedBadImages()
        self._backbones: dict[str, FrozenBackbone] = {}
        self._orders: dict[str, Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], None]] = {
            "describe": self._describe,
            "extract": self._extract,
            "train": self._train,
            "range_test": self._range_test,
            "start": self._start,
            "step": self._step,
            "score": self._score,
            "load_best": self._load_best,
            "score_best": self._score_best,
        }

    def carry_out(self, message: Message) -> None:
        document = dict(message.document)
        self._orders[document.pop("order")](document, message.arrays)

    def _describe(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        cpu.adopt_mkl_type(document[cpu.MKL_TYPE])
        config = RunConfig.model_validate_json(document["config"])
        select_device(config.device, self._follower.rank)
        logger.info("computes on %s", paddle.device.get_device())
        module = self._module or Module(document["module"], document["weights"], trust_code=self._trust_code)
        if module.weights_sha256 != document["module_sha256"]:
            raise ModelError(
                f"The weights of {module.name} ({module.weights_file}) are not those of rank 0: copy its file"
            )
        entries = [
            ImageEntry(Path(path), int(label))
            for path, label in zip(document["paths"], arrays["labels"], strict=True)
        ]
        sets = document["label_sets"] and LabelSets.of(**document["label_sets"])
        lists: dict[str, list[ImageEntry]] = {"train": entries, "validate": [], "test": []}
        data = RunData(document["labels"], lists, {}, label_sets=sets)
        self._context = RunContext(
            *(config, module, data, RunFolder(_NO_FOLDER), Stop(), Callback(), self._bad_images),
            rank=self._follower.rank,
        )

    def _extract(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        layer, engine = document["layer"], document["engine"]
        if layer not in self._backbones:
            build = {"features": features_backbone_of, "activations": activations_backbone}[layer]
            classifier = self._context.build_classifier()
            self._backbones[layer] = build(self._context, classifier, engine)
        compute = partial(
            self._backbones[layer].extract,
            _views(document),
            batch_size=document["size"],
            workers=self._context.config.workers,
        )
        logger.info("%s of pictures: a share of %d", layer, len(document["paths"]))
        send_share(self._follower, document, compute, encode_outputs)

    def _train(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        context, shards = self._context, self._context.config.shards
        assert shards is not None
        throughput.set_threads(document["threads"])
        self._classifier = context.build_classifier()
        if not hasattr(context.config.strategy, "head"):  # which rank 0 has not solved
            take_trained_head(context, self._classifier)
        elif document["second_order"]:
            take_second_order(context, self._classifier)
        views = _views(document)
        self._part = self._build_part(views, last_stage_only=document["last_stage_only"])
        _load(self._classifier, arrays)
        self._training = GradientTraining(context, self._classifier, self._part, views)
        self._training.micro_batch = document["micro_batch"]
        self._follower.send({"ready": True})
        master = f"{self._follower.leader_host}:{document['port']}"
        process_group = start_process_group(self._follower.rank, master, self._follower.own_host)
        self._training.sharding = ShardedGradients(shards, process_group, self._exchange, self._wait_for_end)

    def _build_part(self, views: list[Preprocessing], *, last_stage_only: bool) -> TrainedPart:
        if not last_stage_only:
            return whole_network(self._context, self._classifier, views)
        backbone = activations_backbone(self._context, self._classifier, self._context.config.engine)
        part, computing = last_stage_part(self._context, self._classifier, backbone, views)
        for _ in computing:
            pass
        return part

    def _range_test(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._training.range_test()

    def _start(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        throughput.set_threads(document["threads"])
        plan = self._training.plan(document["rate"])
        settings = self._training.settings(plan)
        self._rate = settings.rate
        self._train_step = self._training.make_step(plan, settings)
        _load(self._classifier, _below("network/", arrays))
        optimizer = self._train_step.optimizer
        restore_optimizer(optimizer.optimizer, self._classifier, _below("optimizer/", arrays))
        optimizer.precision = TypeAdapter(Precision).validate_python(document["precision"])
        self._made = document["step"]
        logger.info("training, after step %d", self._made)
        self._batches = self._training.batches.after(self._made)
        self._train_step.start(self._made)

    def _step(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._train_step.run(next(self._batches), self._made, self._rate(self._made))
        self._made += 1

    def _score(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        own = {name: tensor.numpy() for name, tensor in self._classifier.training_state().items()}
        _load(self._classifier, arrays)
        send_share(self._follower, document, self._part.score, encode_scores)
        _load(self._classifier, own)

    def _load_best(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        folder = self._follower.temporary_folder()
        for name, content in arrays.items():
            (folder / Path(name).name).write_bytes(content.tobytes())
        trust_code = self._context.module.code is not None
        model = load_model(folder, trust_code=trust_code, engine=self._context.config.engine)
        loading = self._context.loading
        self._best_score: Scorer = partial(
            model.score, batch_size=loading["batch_size"], workers=loading["workers"]
        )

    def _score_best(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        send_share(self._follower, document, self._best_score, encode_scores)

    def _exchange(self, figures: ShardFigures) -> ShardFigures:
        """Send this rank's figures, and return those of all, which rank 0 sends when it has them."""
        self._follower.send({"figures": figures.as_dict(), "bad": self._bad_images.take()})
        document = dict(self._follower.receive().document)
        del document["order"]
        return ShardFigures(**document)

    def _wait_for_end(self, error: Exception) -> Any:
        self._follower.wait_for_end()


def _views(document: Mapping[str, Any]) -> list[Preprocessing]:
    return [Preprocessing.model_validate_json(view) for view in document["views"]]


def _load(classifier: Classifier, arrays: Mapping[str, np.ndarray]) -> None:
    for name, tensor in classifier.training_state().items():
        tensor.set_value(arrays[name])


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
