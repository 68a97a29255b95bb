"""Parameters as Paddle 1 saved them, without running anything that lies with them.

``fluid.io.save_params`` and its relatives wrote a file for each variable, called as it, or one file for all,
in the order of their names. PaddleHub 1 put them into the folder ``model`` of a module, with a prefix;
PaddlePaddle's tables of pretrained networks have such folders as tar archives.
"""

import re
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from hubtune.errors import ModelError
from hubtune.storage.fluid.content import Content, is_archive, is_tensors, read_tensor_files
from hubtune.storage.fluid.files import read_files
from hubtune.storage.fluid.program import DESCRIPTION_FILE, PROGRAM_FILE, module_name, parameter_names
from hubtune.storage.pickle_machine import quote
from hubtune.storage.regular_file import MOST_DOCUMENT_BYTES
from hubtune.storage.signature import kind_by_name

_COMBINED_FILES = ("__params__", "params")
_MODULE_FOLDER = "model"
_LOOKED_AT = 200
_WEIGHTS_ENDINGS = (".pdparams", ".safetensors")
_UNNAMED = "unnamed parameter "

# What optimizers and schedules keep beside a parameter, or once for all.
_STATES = re.compile(
    r".+_(moment[12]?|velocity|momentum|beta[12]_pow_acc|inf_norm|mean_square|mean_grad|squared|linear|ema"
    r"|_avg_squared_(grad|update))_\d+|.*(learning_rate|beta[12]_pow_acc|decay_rate)(_\d+)?|@[A-Z_]+@"
)
_PREFIX = re.compile(r"@HUB_([^@]+)@")
_STEP = re.compile(r"step_(\d{1,18})")


def is_fluid(path: Path) -> bool:
    """Return whether a path cannot be a weights file of today: a folder, an archive or Paddle's tensors.

    Raises:
        OSError: the file cannot be read.
    """
    return path.is_dir() or is_archive(path) or is_tensors(path)


def read_fluid(path: Path) -> dict[str, np.ndarray]:
    """Return the parameters in a folder, a tar archive or a file, by their names in the program.

    If some are a PaddleHub module's, only these are returned, without their prefix ``@HUB_<module>@``. A file
    that holds all parameters has no names: they come from the program ``__model__`` beside it, else
    from :func:`unnamed_parameter`. States of optimizers are left out. The arrays are read-only.

    Raises:
        ModelError: it cannot be read, is damaged, or holds no such parameters.
    """
    own, others = split_module(read_variables(path))
    return own or others


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Return what :func:`read_fluid` does, but all parameters, and with their whole names.

    Raises:
        ModelError: as there.
    """
    path = _model_in(path)
    content = read_tensor_files(path, excluded=_STATES)
    root = _root_of(content)
    tensors = {
        name.removeprefix(root): values for name, values in content.tensors.items() if name.startswith(root)
    }
    if not tensors:
        what = "a folder" if path.is_dir() else "an archive"
        raise ModelError(f"{path} is {what} without weights: {_describe_others(content)}")
    combined = next((name for name in _COMBINED_FILES if name in tensors), None)
    if not path.is_dir() and not is_archive(path):
        combined = path.name
    if combined is not None:
        variables = _named(path, tensors[combined], content.documents.get(root + PROGRAM_FILE))
    else:
        variables = {name: _only(path, name, values) for name, values in tensors.items()}
    return {name: value for name, value in variables.items() if not _STATES.fullmatch(name)}


def split_module(
    variables: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the variables of a PaddleHub module, without their prefix, and all others."""
    own = {name[match.end() :]: value for name, value in variables.items() if (match := _PREFIX.match(name))}
    return own, {name: value for name, value in variables.items() if not _PREFIX.match(name)}


def hub_module_name(path: Path) -> str | None:
    """Return the name of the PaddleHub 1 module that a path holds or was saved from; ``None`` if none.

    A module's folder has its name in ``module_desc.pb``, what was fine-tuned from it in its variables' names.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        if not path.is_dir() and not is_archive(path):
            return None
        prefixes = set()
        for name, size, stream in read_files(_model_in(path)):
            if PurePosixPath(name).name == DESCRIPTION_FILE:
                return module_name(stream.read(min(size, MOST_DOCUMENT_BYTES)))
            prefixes.update(_PREFIX.findall(name))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged or cannot be read as a PaddleHub module: {error}") from error
    return prefixes.pop() if len(prefixes) == 1 else None


def has_parameters(folder: Path) -> bool:
    """Return whether one of the first files in a folder, or below, starts as a parameter of Paddle 1 does.

    Raises:
        ModelError: a file cannot be read.
    """
    files = (path for path in folder.rglob("*") if path.is_file())
    try:
        return any(is_tensors(path) for path in islice(files, _LOOKED_AT))
    except OSError as error:
        raise ModelError(f"{folder} cannot be read: {error}") from error


def unnamed_parameter(number: int) -> str:
    """Return what a parameter without a name is called, by its place in the file."""
    return f"{_UNNAMED}{number}"


def _model_in(path: Path) -> Path:
    """Return the best model in PaddleHub 1's ``checkpoint_dir``, else its last checkpoint; else the path."""
    if (path / "best_model").is_dir():
        return path / "best_model"
    steps = {int(match[1]): step for step in path.glob("step_*") if (match := _STEP.fullmatch(step.name))}
    return steps[max(steps)] if steps else path


def _root_of(content: Content) -> str:
    """Return the path of the parameters' folder, with a ``/`` behind it, or an empty string."""
    for name in content.documents:
        if PurePosixPath(name).name == DESCRIPTION_FILE:
            return f"{name.removesuffix(DESCRIPTION_FILE)}{_MODULE_FOLDER}/"
    # Archives hold a folder, which some people unpack into another of the same name.
    folders = [PurePosixPath(name).parent.parts for name in content.tensors]
    root = ""
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        root += f"{parts[0]}/"
    return root


def _only(path: Path, name: str, values: list[np.ndarray]) -> np.ndarray:
    if len(values) > 1:
        raise ModelError(f"{path} is damaged: {quote(name)} in it holds {len(values):,} parameters, not one")
    return values[0]


def _named(path: Path, values: list[np.ndarray], program: bytes | None) -> dict[str, np.ndarray]:
    if path.suffix == ".pdiparams" or len(values) == 1:
        what = "a single parameter" if len(values) == 1 else "the weights of an inference model of Paddle 2"
        raise ModelError(
            f"{path} is {what}, without the names of the network's layers: give the .pdparams file of the "
            "training, or the folder with all parameters"
        )
    if program is None:
        return {unnamed_parameter(number): value for number, value in enumerate(values)}
    try:
        names = parameter_names(program)
    except ValueError as error:
        raise ModelError(f"{path} is damaged: its {PROGRAM_FILE} cannot be read ({error})") from error
    if len(names) != len(values):
        raise ModelError(
            f"{path} is damaged: it has {len(values):,} parameters, and {PROGRAM_FILE} names {len(names):,}"
        )
    return dict(zip(names, values, strict=True))


def _describe_others(content: Content) -> str:
    """Return what a path without parameters holds, and what to give instead."""
    for name in content.others:
        if name.endswith(_WEIGHTS_ENDINGS):
            return f"give the file {quote(name)} in it"
        kind = kind_by_name(name)
        if kind is not None:
            return f"{quote(name)} in it is {kind}"
    return (
        "give a .pdparams or .safetensors file, or a folder with parameters as Paddle 1 saved them, a file "
        f"each or all in {_COMBINED_FILES[0]}"
    )
