"""The table of formats and the modules that it names."""

from importlib import import_module

import pytest

from hubtune.export.formats import FORMATS, quantizer_for


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_has_its_module(form):
    module = import_module(f"hubtune.export.{form}")
    assert callable(getattr(module, f"write_{form}"))
    assert callable(getattr(module, f"{form}_facts"))
    resizes = FORMATS[form].has_one_view or FORMATS[form].resizing_file is not None
    assert hasattr(module, f"arrange_as_{form}") == resizes
    assert hasattr(module, "check_name") == FORMATS[form].needs_name


@pytest.mark.parametrize("form", [name for name, row in FORMATS.items() if row.int8_packages])
def test_a_format_with_int8_has_a_quantiser(form):
    quantizer = quantizer_for(form)
    assert quantizer.name.endswith("-int8")
    assert any(name.endswith(quantizer.suffix) for name in FORMATS[form].network_files)
