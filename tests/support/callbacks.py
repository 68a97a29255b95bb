"""Callbacks that record a run, stop it, or act in the middle of it."""

import inspect
import signal
from collections import namedtuple

from hubtune.runs.callbacks import Callback
from hubtune.runs.signals import StopRequested

METHODS = [name for name, _ in inspect.getmembers(Callback, inspect.isfunction) if name[0] != "_"]


Call = namedtuple("Call", "method positional named recorder", defaults=((), {}, ""))


class Recorder(Callback):
    """Records every call, in order; several recorders may share a list."""

    def __init__(self, calls=None, name=""):
        self.calls, self.name = [] if calls is None else calls, name

    def __getattribute__(self, method):
        if method not in METHODS:
            return super().__getattribute__(method)
        return lambda *positional, **named: self.calls.append(Call(method, positional, named, self.name))

    def of(self, method):
        return [call for call in self.calls if call.method == method]

    @property
    def notices(self):
        return [call.positional[0] for call in self.of("notice")]

    @property
    def accuracies(self):
        return [call.positional[1].accuracy for call in self.of("evaluated")]


class AtStep(Callback):
    def __init__(self, step, action):
        self.step, self.action = step, action

    def stepped(self, step, total, **figures):
        if step == self.step:
            self.action()


class AtStart(Callback):
    def __init__(self, part, action):
        self.part, self.action = part, action

    def start(self, what, total, done=0):
        if what == self.part:
            self.action()


class AtAdvance(Callback):
    """Acts at the n-th progress of a kind of work: on batches that train, on all others, or on both."""

    def __init__(self, count, action, *, training=None):
        self.left, self.action, self.training = count, action, training

    def advance(self, images, *, loss=None, accuracy=None):
        if self.training in (None, loss is not None):
            self.left -= 1
            if self.left == 0:
                self.action()


def raise_error(error):
    def action():
        raise error

    return action


def request_stop():
    raise StopRequested


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)
