"""The kernel of a notebook that runs this program: whether there is one, and outputs of its cells."""

import os
import sys
import warnings
from typing import Any

from hubtune.log import show_warnings
from hubtune.notebook.html import document, message, notice


def in_notebook() -> bool:
    """Whether the kernel of a notebook runs this program: Jupyter's, or one made of it, as AI Studio's."""
    # Not imported: where a kernel runs, it is there already.
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    return getattr(get_shell(), "kernel", None) is not None


def prepare_notebook() -> None:
    """In a notebook, show of the log only warnings, and none of Paddle's own lines; elsewhere do nothing.

    Call this before Paddle is imported: it adds a handler to the root logger that writes every line.
    """
    if not in_notebook():
        return
    os.environ.setdefault("GLOG_minloglevel", "2")
    warnings.filterwarnings("ignore", message="No ccache found")
    show_warnings(_show_warning)


def _show_warning(content: str) -> None:
    CellOutput().show(str(document(notice(message(content), warning=True))), content)


class CellOutput:
    """An output below the cell that runs, in whose place newer states are shown."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, html: str, plain: str) -> None:
        """Show a state: HTML, and text for programs that show no HTML."""
        from IPython.display import display

        content = {"text/html": html, "text/plain": plain}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
