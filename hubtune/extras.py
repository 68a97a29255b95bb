"""The optional packages of hubtune, and the command that installs them.

The command names the packages themselves, and not ``hubtune[remote]``: that works only where pip finds
hubtune itself, which depends on where it was installed from.
"""

import shlex
import sys
from pathlib import PurePath

EXTRAS = {
    "cpu": ("paddlepaddle>=3.1", "openvino>=2025.0"),
    "heic": ("pillow-heif>=0.20",),
    "int8": ("nncf>=3", "openvino>=2025.0", "onnx>=1.16", "onnxruntime>=1.17"),
    "onnx": ("onnx>=1.16", "onnxruntime>=1.17"),
    "paddlehub": ("paddlehub==2.4.0", "protobuf==3.20.3", "huggingface_hub<1.0", "aistudio-sdk==0.2.6"),
    "remote": ("fsspec[s3]>=2024.2", "aiobotocore[boto3]>=2.20"),
    "serve": ("starlette>=0.37", "uvicorn>=0.29", "prometheus-client>=0.20"),
    "tensorboard": ("tensorboardX>=2.6",),
    "tune": ("optuna>=4.9",),
    "tune-mysql": ("optuna>=4.9", "pymysql>=1.1"),
    "tune-postgresql": ("optuna>=4.9", "psycopg[binary]>=3.1"),
    "visualdl": ("visualdl>=2.5",),
}
"""Extra of ``pyproject.toml`` → its requirements, but for those of a GPU and of the tests."""


def install_extra(extra: str) -> str:
    """Return the command that installs the packages of an extra beside hubtune.

    Example:
        >>> install_extra("tune")
        "pip install 'optuna>=4.9'"
    """
    requirements = shlex.join(EXTRAS[extra])
    places = PurePath(sys.prefix).parts
    # Programs with an environment for each command: their pip is elsewhere, or there is none.
    if "pipx" in places:
        return f"pipx inject {places[-1]} {requirements}"
    if places[-3:-1] == ("uv", "tools"):
        return f"uv pip install --python {shlex.quote(sys.executable)} {requirements}"
    return f"pip install {requirements}"


PADDLE_MISSING = (
    f"PaddlePaddle is not installed: {install_extra('cpu')}, or for a GPU the two lines in the README"
)
"""The sentence for a missing Paddle."""
