"""Options that several commands share are the same in all of them."""

import pytest

from hubtune.cli.classify import command as classify
from hubtune.cli.embed import command as embed
from hubtune.cli.finetune import command as finetune
from hubtune.cli.options import parse_weights
from hubtune.cli.predict import command as predict
from hubtune.cli.tune import command as tune


@pytest.mark.parametrize(
    ("text", "weights"), [("none", None), ("official", "official"), ("a.pdparams", "a.pdparams")]
)
def test_none_means_random_weights(text, weights):
    assert parse_weights(text) == weights


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("--batch-size", (classify, embed, predict)),
        ("--engine", (classify, embed, predict)),
        ("--device", (classify, embed, predict)),
        ("--module", (classify, embed)),
        ("--weights", (classify, embed)),
        ("--trust-code", (classify, embed, predict, finetune)),
        ("-o", (finetune, tune)),
    ],
)
def test_a_shared_option_has_one_help_and_one_default(name, commands):
    options = [option for command in commands for option in command.params if name in option.opts]
    assert len(options) == len(commands)
    assert len({(option.help, str(option.default), option.metavar) for option in options}) == 1
