"""Addresses of databases: what is refused, and that a password is only taken from the environment."""

import pytest

from hubtune.errors import MachineError, UsageError
from hubtune.tuning.shared_storage import check_storage, engine_settings, storage_errors

pytest.importorskip("optuna")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("redis://a", "is not the address of a database"),
        ("journal.log", "is not the address of a database"),
        ("sqlite://", "is not the address of a database"),
        ("postgresql://me:secret@host/x", "has a password.*PGPASSWORD"),
        ("postgresql://me@host/x?password=secret", "has a password.*PGPASSWORD"),
        ("mysql://me:secret@host/x", "has a password.*MYSQL_PWD"),
    ],
)
def test_other_addresses_and_passwords_are_refused_without_being_repeated(address, message):
    with pytest.raises(UsageError, match=message) as caught:
        check_storage(address)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    with pytest.raises(MachineError, match=r'needs pymysql.*pip install "optuna>=4.9" "pymysql>=1.1"'):
        check_storage("mysql://me@host/x")


def test_the_password_of_the_environment_goes_to_the_driver_only(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "secret")
    url, settings = engine_settings("postgresql://me@host:5432/x")
    assert url == "postgresql+psycopg://me@host:5432/x"
    assert settings["connect_args"]["password"] == "secret"
    monkeypatch.delenv("PGPASSWORD")
    assert "password" not in engine_settings("postgresql://me@host/x")[1]["connect_args"]
    assert engine_settings("sqlite:///a/b.db")[0] == "sqlite:///a/b.db"


def test_errors_of_the_database_are_one_sentence():
    from sqlalchemy.exc import OperationalError

    with (
        pytest.raises(MachineError, match=r"does not work \(no room\): mend that") as caught,
        storage_errors("postgresql://me@host/x"),
    ):
        raise OperationalError("select", {}, Exception("no room\nmore"))
    assert "\n" not in str(caught.value)
