"""The lists of names are those that recipes accept, and are read without pydantic."""

import subprocess
import sys

from hubtune.recipe.choices import ENGINES, OptimizerName
from hubtune.recipe.introspect import field_choices
from hubtune.recipe.optimization import OptimizerSettings
from hubtune.recipe.schema import TrainSection


def test_recipes_accept_these_names_and_help_texts_need_no_pydantic():
    assert tuple(field_choices(TrainSection.model_fields["engine"])) == ENGINES
    assert field_choices(OptimizerSettings.model_fields["name"]) == ["auto", *OptimizerName.__args__]
    program = "import sys; sys.modules['pydantic'] = None; import hubtune.recipe.choices"
    subprocess.run([sys.executable, "-c", program], check=True)
