"""The recipe's schema: each field with its default, range and meaning.

``RunConfig`` is the recipe's training part under PaddleHub's names; both share one set of fields.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from hubtune.errors import UsageError, suggest
from hubtune.recipe import optimization
from hubtune.recipe.augment import Augment, AugmentSettings, expand_preset
from hubtune.recipe.base import Settings, Switch, parse_share
from hubtune.recipe.choices import Engine
from hubtune.recipe.places import Place, PlaceOrBucket
from hubtune.recipe.strategies import DefaultFinetuneStrategy, GradientStrategy, SolvedStrategy, Strategy


def _expand_strategy(value: Any) -> Any:
    return {"name": "rules", "list": value} if isinstance(value, list) else optimization.expand_name(value)


class ImageSettings(Settings):
    """How pictures enter the network."""

    fit: Literal["crop", "whole", "pad", "stretch"] | None = None
    """How a picture becomes the network's input: `crop` scales the short side and crops the centre; `whole`
    keeps the aspect ratio and crops nothing; `pad` does the same and fills up to a square; `stretch` ignores
    the aspect ratio. Default: as the module was pretrained."""
    size: int | None = Field(None, ge=16, le=4096)
    """Side of the network's input, pixels; smaller is faster, larger keeps more detail. With `whole`, the
    long side changes in proportion. Default: as the module was pretrained, mostly 224."""
    channels: Literal[1, 3, 4] = 3
    """Channels of the network's input. `3`: colour; `1`: grey; `4`: colour and opacity, or whatever the
    pictures' fourth channel holds. The first layer of the pretrained network is adapted."""
    bits: Annotated[int, Field(ge=9, le=16)] | Literal["auto"] = "auto"
    """Bits that pictures in files of 16 bits use: microscopes and depth cameras write 10, 12 or 14 of them,
    which would look black. `auto`: as many as the largest value in all lists needs."""
    mean_std: Literal["module", "from_data"] = "module"
    """Mean and standard deviation that pictures are normalised by: the module's own, or `from_data`, those of
    the training list (of at most 10,000 of its pictures), for networks that start from random values."""
    bad_pictures: Literal["skip", "stop"] = "skip"
    """What training does with a picture that cannot be read: leave it out and report it, or stop."""
    max_bad: str | float = "1%"
    """With `skip`: training stops when more than this share of the listed pictures cannot be read, or more
    than 50 where the share is 1 % or less. `5%` or `0.05`."""
    workers: int = Field(2, ge=1, le=64)
    """Threads that decode pictures; results do not depend on it."""

    @field_validator("channels", mode="before")
    @classmethod
    def _refuse_bool(cls, value: Any) -> Any:
        if isinstance(value, bool):  # equal to 0 or 1 in Python
            raise PydanticCustomError("not_a_number", "give 1, 3 or 4")
        return value

    @field_validator("max_bad")
    @classmethod
    def _check_share(cls, value: str | float) -> str | float:
        parse_share(value)
        return value


class ListSettings(Settings):
    """The pictures: a folder and its list files."""

    base: PlaceOrBucket = Field(min_length=1, examples=["datasets/idol5"])
    """Folder that holds the list files; relative paths in the lists are relative to it. May be in a bucket:
    `s3://bucket/folder`."""
    train: Place | None = None
    """Training list; default `train_list.txt`, or `train.txt` as PaddleX names it."""
    validate_: Place | None = Field(None, alias="validate")
    """Validation list; default `validate_list.txt`, or `val_list.txt` as PaddleClas names it."""
    test: Place | None = None
    """Test list, used once at the end; default `test_list.txt` if it exists."""
    labels: Place | None = None
    """Class names, one per line; default `label_list.txt`, or `labels.txt`, `label.txt`, …"""
    encoding: str | None = None
    """Encoding of the list files where it is not UTF-8, such as `gbk`."""
    labels_are: Literal["numbers", "numbers-from-1", "names", "multi-label"] | None = None
    """What the labels in the lists are; needed only where more than one reading fits."""


class DataSection(ImageSettings, ListSettings):  # pydantic puts the last base's fields first
    """The pictures, and how they enter the network."""


class ModuleSection(Settings):
    """The pretrained module to start from."""

    name: Place = Field(min_length=1, examples=["xception71_imagenet"])
    """Hub name (`xception71_imagenet`), `paddle.vision:<name>`, or the path of a module folder (or a
    `.tar.gz` of it), of a run or model folder to go on from, or of weights."""
    weights: Place = "official"
    """`official` (cache, mirrors, official address), the path of a `.safetensors` or `.pdparams` file or of
    Paddle 1's parameters, or `none` for random values."""
    trust_code: bool = False
    """Whether code in a module folder (`module.py`) may run, in Python; a command needs `--trust-code`."""


class TrainSection(Settings):
    """How the network is trained."""

    model_config = ConfigDict(populate_by_name=True)

    epochs: int = Field(3, ge=1, le=100_000, validation_alias=AliasChoices("epochs", "num_epoch"))
    """Passes over the training list."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = 32
    """Pictures per step; `auto`: 32, in as few parts as the memory allows."""
    micro_batch: int | None = Field(None, ge=1, le=65_536)
    """Pictures in memory at once; the gradients of a batch's parts are added up, which gives the same steps
    except for BatchNorm statistics that are updated. Default: the whole batch."""
    shards: int | None = Field(None, ge=1, le=1024)
    """Parts of a batch; any number of processes that divides it gives the same result. Default: with several
    processes, up to 8 with at least 4 pictures each."""
    shard_window: int | None = Field(None, ge=1)
    """Tar shards (`hubtune data pack`) that an epoch mixes before it goes on to the next ones. Default: all,
    or for a bucket that does not fit into `HUBTUNE_SHARD_CACHE`, a third of what that holds."""
    model_average_interval: int | None = Field(None, ge=1)
    """Another algorithm for several processes: each makes this many steps before the models are averaged."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] | Literal["auto"] | None = None
    """Learning rate; default 1e-4 for fine-tuning, 1e-5 for the last stage alone, 1e-3 from scratch; `auto`:
    a range test of a few dozen steps chooses it."""
    optimizer: optimization.Optimizer = optimization.OptimizerSettings()
    """What turns gradients into steps: a name, or a name with settings."""
    schedule: optimization.Schedule = optimization.AutoSchedule()
    """How the rate changes from step to step: a name, or a name with settings."""
    clip: optimization.ClipSettings | None = None
    """Limits on gradients; default: the strategy's own, usually none."""
    loss: optimization.Loss = optimization.LossSettings()
    """The loss: a name, or a name with settings."""
    balance: Literal["none", "auto", "weights", "sampler"] = "none"
    """Balancing of classes with few pictures: `weights` gives each class the same weight in the loss,
    `sampler` draws pictures of each class equally often, `auto` is `weights` if one class has more than twice
    as many pictures as another; `none`: each picture counts the same."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the pooled features that each training step drops before the head."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of a moving average of the weights, such as 0.99; the average is evaluated and saved."""
    average_best: int | None = Field(None, ge=2, le=100)
    """Number of best checkpoints whose average is evaluated at the end, and saved if it is better."""
    early_stopping: int | None = Field(None, ge=1)
    """Number of evaluations without improvement after which training ends."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision on a GPU: `auto` is bf16 where the GPU supports it, else fp16. On a CPU it is off."""
    loss_scale: Annotated[float, Field(gt=0)] | Literal["dynamic"] = "dynamic"
    """Factor on the loss with fp16 (PaddleCV's `scale_loss`)."""
    eval_interval: int = Field(100, ge=1)
    """Steps between evaluations on the validation list; the last step is followed by one, too."""
    eval_each_epoch: Switch = True
    """Whether each epoch also ends with an evaluation, whatever the interval; PaddleHub 1.x: `off`."""
    log_interval: int = Field(10, ge=1)
    """Steps between log lines."""
    save_ckpt_interval: int | None = Field(None, ge=1)
    """Steps between checkpoints; default: at the end of each epoch, and every five minutes."""
    keep: Annotated[str, Field(pattern=r"^(auto|all|best|last [1-9]\d{0,3})$")] = "auto"
    """Checkpoints that stay: `all`, `last N`, or `auto`: the last two, after the run one. `best`: also the
    first one from the best evaluation on."""
    on_disk_full: Literal["stop", "warn"] = "stop"
    """What a full disk does to training: `stop` it, or `warn` and go on without the checkpoint or model that
    did not fit. The last checkpoint must fit."""
    batch_norm: Literal["auto", "keep", "update"] = "auto"
    """Pretrained BatchNorm statistics: `keep` them, `update` them while training, or `auto`: keep them if the
    module has pretrained weights and the training list has fewer than 10,000 pictures."""
    augment: Augment = Field(AugmentSettings(), examples=["standard"])
    """Random changes to training pictures: `none`, `flip`, `crop` (a random crop of 8–100 % of the area, and
    `flip`), `standard`, `strong`, or keys."""
    hidden_units: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(default=[], max_length=16)
    """Widths of fully connected layers with ReLU between the pooled features and the class scores."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the order of pictures, augmentation, dropout and the head's initial values."""
    device: str = Field("auto", pattern=r"^(auto|cpu|gpu(:\d+(,\d+)*)?)$")
    """`auto`, `cpu`, `gpu`, `gpu:<number>`, or `gpu:0,1` for a process on each of these."""
    engine: Engine = "auto"
    """What runs a network that is not being trained: `openvino` (the choice of `auto` on a CPU),
    `openvino-bf16` (faster and slightly less exact, on processors that support it), `openvino-int8` (strategy
    `frozen` on a CPU: the model predicts by a network in int8), `paddle`, or `paddle-amp` (mixed precision;
    the choice of `auto` on a GPU)."""


class RunConfig(TrainSection, ImageSettings):
    """A recipe without data and module, for Python: PaddleHub's ``RunConfig``.

    Example:
        >>> config = RunConfig(num_epoch=5, batch_size=32, checkpoint_dir="runs/idol5",
        ...                    strategy=DefaultFinetuneStrategy())
        >>> config.epochs
        5
    """

    epochs: int = Field(1, ge=1, le=100_000, validation_alias=AliasChoices("epochs", "num_epoch"))
    """Passes over the training list (PaddleHub's `num_epoch`)."""
    strategy: Strategy = DefaultFinetuneStrategy()
    """What is trained, and how."""
    checkpoint_dir: PlaceOrBucket | None = None
    """The run folder; default `runs/<name of the data's base folder>`. With the address of a folder in a
    bucket, the run is copied there as it goes."""
    report: Switch = True
    """Whether a finished run gets its page, `report.html`."""
    reference: Switch = True
    """Whether the model gets features of training pictures, which tell pictures of another kind."""

    @model_validator(mode="before")
    @classmethod
    def _translate_use_cuda(cls, given: Any) -> Any:
        """Accept PaddleHub's ``use_cuda`` in place of ``device``."""
        if isinstance(given, dict) and "use_cuda" in given:
            if given.get("device") is not None:
                raise ValueError("device and use_cuda say the same thing: give one of them")
            others = {name: value for name, value in given.items() if name != "use_cuda"}
            return {**others, "device": "gpu" if given["use_cuda"] else "cpu"}
        return given

    def __init__(self, **given: Any) -> None:
        """Validate the settings.

        Raises:
            UsageError: a setting is unknown or wrong; the message lists every mistake.
        """
        try:
            super().__init__(**given)
        except ValidationError as error:
            known = [*type(self).model_fields, "num_epoch", "use_cuda"]
            raise UsageError("; ".join(_describe_error(each, known) for each in error.errors())) from None

    _expand = field_validator("strategy", mode="before")(_expand_strategy)

    @model_validator(mode="after")
    def _check_combination(self) -> "RunConfig":
        _check_strategy(self, self.strategy)
        return self

    @property
    def images_per_step(self) -> int:
        """The batch size as a number."""
        return 32 if self.batch_size == "auto" else self.batch_size

    @property
    def rate(self) -> float:
        """The learning rate with every default applied; for ``auto``, the strategy's own."""
        if isinstance(self.learning_rate, float):
            return self.learning_rate
        # `frozen` has no rate, and no caller needs one there.
        strategy = cast(GradientStrategy | SolvedStrategy, self.strategy)
        return strategy.learning_rate or strategy.default_rate


def _describe_error(error: ErrorDetails, known: list[str]) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"RunConfig has no {name!r}.{suggest(name, known)}"
    found = "" if isinstance(error["input"], dict) else f", not {error['input']!r:.60}"
    return f"RunConfig{'.' * bool(name)}{name}: {error['msg'].removeprefix('Value error, ')}{found}"


class Recipe(Settings):
    """A whole run: data, module, strategy, training, and where the results go."""

    long_forms: ClassVar[dict[str, Callable[[Any], Any]]] = {
        "module": optimization.expand_name,
        "strategy": _expand_strategy,
    }
    """For each section with a short form: the function that expands it."""
    nested_long_forms: ClassVar[dict[tuple[str, str], Callable[[Any], Any]]] = {
        ("train", "augment"): expand_preset,
        ("train", "loss"): optimization.expand_name,
        ("train", "optimizer"): optimization.expand_name,
        ("train", "schedule"): optimization.expand_name,
    }
    """The same for keys inside sections."""

    data: DataSection = Field(examples=[{"base": "datasets/idol5"}])
    """The pictures."""
    module: ModuleSection = Field(examples=["xception71_imagenet"])
    """The pretrained module."""
    strategy: Strategy = DefaultFinetuneStrategy()
    """What is trained, and how: a name, a name with settings, or a list of rules."""
    train: TrainSection = TrainSection()
    """How it is trained."""
    run: PlaceOrBucket | None = None
    """The run folder; default `runs/<name of the recipe>`. With the address of a folder in a bucket,
    `s3://bucket/runs/NAME`, the run is copied there as it goes."""
    report: Switch = True
    """Whether a finished run gets its page, `report.html`; `on` or `off`."""
    reference: Switch = True
    """Whether the model gets features of training pictures, which tell pictures of another kind; `on` or
    `off`."""

    @field_validator("module", "strategy", mode="before")
    @classmethod
    def _expand(cls, value: Any, info: ValidationInfo) -> Any:
        return cls.long_forms[str(info.field_name)](value)

    @model_validator(mode="after")
    def _check_combination(self) -> "Recipe":
        if self.strategy.from_random and self.module.weights not in ("official", "none"):
            raise _impossible(
                "module.weights",
                f"strategy {self.strategy.name} starts from random values, but module.weights names a file: "
                "remove module.weights, or take strategy default_finetune",
            )
        _check_strategy(self.train, self.strategy)
        return self

    @property
    def run_folder(self) -> str:
        """The run folder, default ``runs/<name of the data folder>``."""
        return self.run or f"runs/{Path(self.data.base).resolve().name}"

    def config(self) -> RunConfig:
        """Return everything except data and module as a ``RunConfig``."""
        images = self.data.model_dump(include=set(ImageSettings.model_fields))
        return RunConfig.model_validate(
            {**images, **self.train.model_dump(), "strategy": self.strategy, "checkpoint_dir": self.run}
            | self.model_dump(include={"report", "reference"})
        )


def _check_strategy(train: TrainSection, strategy: Strategy) -> None:
    if problem := strategy.engine_problem(train.engine):
        raise _impossible("train.engine", problem)
    rate = getattr(strategy, "learning_rate", None)
    if rate is not None and train.learning_rate not in (None, rate):
        raise _impossible(
            "train.learning_rate",
            f"learning_rate is {train.learning_rate} in train and {rate} in the strategy: give one of them",
        )


def _impossible(key: str, message: str) -> PydanticCustomError:
    """Return the error for settings that are valid one by one; `key` is the place to report."""
    return PydanticCustomError("impossible", message, {"key": key})
