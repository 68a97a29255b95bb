"""The table of formats and the modules that it names."""

from importlib import import_module

import pytest

from hubtune.export.formats import FORMATS


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_has_its_module(form):
    module = import_module(f"hubtune.export.{form}")
    assert callable(getattr(module, f"write_{form}"))
    assert callable(getattr(module, f"{form}_facts"))
    resizes = FORMATS[form].has_one_view or FORMATS[form].resizing_file is not None
    assert hasattr(module, f"arrange_as_{form}") == resizes
    assert hasattr(module, "check_name") == FORMATS[form].needs_name
