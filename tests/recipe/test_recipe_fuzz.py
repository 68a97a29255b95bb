"""Whatever a file holds, it becomes a recipe or a RecipeError."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubtune.errors import RecipeError
from hubtune.recipe.load import load_recipe
from hubtune.recipe.schema import Recipe

VALID = [
    b"""\
# command: hubtune finetune recipes/idol5.yaml
data:   {base: datasets/idol5}
module: xception71_imagenet
strategy: default_finetune
train:  {epochs: 5, batch_size: 40, learning_rate: 1.0e-4, eval_interval: 10}
run:    runs/idol5
""",
    b"""\
data:
  base: 'C:\\pics'
  fit: whole
  max_bad: "5%"
module: {name: "paddle.vision:mobilenet_v2", weights: none}
strategy:
- {match: stem, frozen: true}
- match: '*'
  lr_mult: .5
train: {num_epoch: 1, device: gpu:0, seed: 0x1F}
""",
]
PIECES = [
    *(mark.encode() for mark in "\t * &a *a ! % [ ] { } | > ' \" \\ \\U \\ud800 <<: ~ # ,".split(" ")),
    *(mark.encode() for mark in "\r é \x85 \u2028 \ufeff 😀".split(" ")),
    *(number.encode() for number in (".nan", ".inf", "1e999", "0x", "9" * 400)),
    b": ", b"- ", b"? ", b"\n---\n", b"\n...\n", b"!!python/object:os.system ", b"\0", b"\xff", b"epochs: 3",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a valid recipe with a few bytes or lines deleted, doubled, moved or put in."""
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        lines = text.splitlines(keepends=True)
        change = draw(
            st.sampled_from(
                ["delete", "double", "put in", "bytes", "delete line", "double line", "move line"]
            )
        )
        if change == "delete":
            text = text[:start] + text[end:]
        elif change == "double":
            text = text[:end] + text[start:]
        elif change == "put in":
            text = text[:start] + draw(st.sampled_from(PIECES)) + text[start:]
        elif change == "bytes":
            text = text[:start] + draw(st.binary(max_size=4)) + text[end:]
        elif lines:
            line = lines.pop(draw(st.integers(0, len(lines) - 1)))
            put = {"delete line": [], "double line": [line, line], "move line": [line]}[change]
            at = draw(st.integers(0, len(lines)))
            text = b"".join(lines[:at] + put + lines[at:])
    return text


@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=mutated())
def test_a_damaged_recipe_is_a_recipe_or_a_recipe_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    file.write_bytes(content)
    try:
        assert isinstance(load_recipe(file), Recipe)
    except RecipeError as error:
        assert error.problems
        assert all(problem.startswith(str(file)) and problem.isprintable() for problem in error.problems)


@settings(max_examples=300, deadline=None)
@given(override=st.text(max_size=20) | st.from_regex(r"(train|strategy|module|data)(\.[a-z_]{1,6})?=.*"))
def test_any_override_gives_a_recipe_or_a_recipe_error(
    tmp_path_factory: pytest.TempPathFactory, override: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "valid.yaml"
    file.write_bytes(VALID[0])
    try:
        assert isinstance(load_recipe(file, [override]), Recipe)
    except RecipeError as error:
        assert all(problem.startswith("-o ") for problem in error.problems)
