"""A run and its exports, made once for the tests of a file."""

import pytest
from support.exports import trained_run

import hubtune
from hubtune.export.exporter import export_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Return what exports a format once."""
    folder, done = tmp_path_factory.mktemp("exported"), {}

    def export(form):
        if form not in done:
            done[form] = export_model(hubtune.load_model(run.path), folder / form, form)
        return done[form]

    return export
