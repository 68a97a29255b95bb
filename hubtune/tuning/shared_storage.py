"""Databases that several searches share: their addresses, passwords and errors."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubtune.errors import MachineError, UsageError
from hubtune.extras import install_extra
from hubtune.log import logger
from hubtune.text import escaped, without_keys
from hubtune.tuning.study import load_optuna

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_CONNECTIONS = 5  # attempts to make the tables, which workers that start at once do at the same time

# Scheme → driver, its package, and the variable with the password.
_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "psycopg", "PGPASSWORD"),
    "mysql": ("mysql+pymysql", "pymysql", "MYSQL_PWD"),
    "sqlite": ("sqlite", "sqlite3", ""),
}


@dataclass(frozen=True)
class SharedStorage:
    """Where a study is, and how often its workers say that they live.

    Attributes:
        address: of the database, without a password; :func:`check_storage`.
        heartbeat: seconds between a worker's signs of life; after twice that, its trial is given to others.
    """

    address: str
    heartbeat: int = 60


def check_storage(address: str) -> None:
    """Refuse an address that is not one of a database, or has a password.

    Raises:
        UsageError: it is, or has.
        MachineError: the database's driver is not installed.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in _DRIVERS or not rest:
        raise UsageError(
            f"--storage {without_keys(address)} is not the address of a database: write postgresql:// or "
            "mysql:// with USER@HOST/DATABASE or, for processes on one machine, sqlite:///FILE"
        )
    _, package, variable = _DRIVERS[scheme]
    url = _parse(address)
    if url.password is not None or any("pass" in key.lower() for key in url.query):
        where = f"the environment variable {variable}" if variable else "no place: SQLite has none"
        raise UsageError(
            f"--storage has a password, which would be seen in lists of processes: leave it out, and put it "
            f"into {where}"
        )
    try:
        __import__(package)
    except ImportError as error:
        raise MachineError(
            f"--storage {scheme}://… needs {package} ({error}): {install_extra(f'tune-{scheme}')}"
        ) from error


def engine_settings(address: str) -> tuple[str, dict[str, Any]]:
    """Return the address with its driver, and SQLAlchemy's settings, with the password of the environment."""
    url = _parse(address)
    driver, _, variable = _DRIVERS[url.drivername]
    connect: dict[str, Any] = {"timeout": 60} if driver == "sqlite" else {"connect_timeout": 30}
    if variable and os.environ.get(variable):
        connect["password"] = os.environ[variable]
    return str(url.set(drivername=driver)), {"connect_args": connect, "pool_pre_ping": True}


@contextmanager
def storage_errors(address: str) -> Iterator[None]:
    """Turn the errors of a database in the block into a :class:`MachineError`."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
        text = (str(getattr(reason, "orig", None) or reason).strip() or repr(reason)).splitlines()[0]
        raise MachineError(
            f"The storage {without_keys(address)} does not work ({escaped(text)}): "
            "mend that, then start the same command again, which continues the search"
        ) from error


def open_shared(storage: SharedStorage, name: str, retry: Callable[[Any, Any], None]) -> Any:
    """Return optuna's study of a name, which is made if there is none.

    ``retry`` is called with the study and a trial whose worker is silent.

    Raises:
        SQLAlchemyError: the database does not work.
    """
    from sqlalchemy.exc import SQLAlchemyError

    optuna = load_optuna()
    url, settings = engine_settings(storage.address)
    for attempt in range(_CONNECTIONS):
        try:
            relational = optuna.storages.RDBStorage(
                url,
                engine_kwargs=settings,
                heartbeat_interval=storage.heartbeat,
                grace_period=2 * storage.heartbeat,
                heartbeat_stale_trial_callback=retry,
            )
            _serialize_transactions(relational.engine)
            relational.record_heartbeat = _forgiving(relational.record_heartbeat)
            return optuna.create_study(
                storage=relational,
                study_name=name,
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(),
                load_if_exists=True,
            )
        except SQLAlchemyError:
            if attempt == _CONNECTIONS - 1:
                raise
            time.sleep(1)  # another worker may be making the tables
    raise AssertionError


def _serialize_transactions(engine: "Engine") -> None:
    """Let one transaction of an SQLite database wait for another from its beginning.

    By default SQLite takes its lock at the first change: two processes could read that a trial is free, and
    both take it. Other databases lock what is read.
    """
    from sqlalchemy import event

    if engine.dialect.name != "sqlite":
        return

    def leave_transactions_to_us(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    event.listen(engine, "connect", leave_transactions_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    engine.dispose()  # connections that were opened before


def _parse(address: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"--storage {without_keys(address)} is not an address of a database") from error


def _forgiving(record: Callable[[int], None]) -> Callable[[int], None]:
    """Return a function whose errors are logged: it runs in a thread, which they would end."""

    def forgiving(trial: int) -> None:
        try:
            record(trial)
        except Exception as error:  # noqa: BLE001  # of any driver
            logger.warning("the storage took no sign of life: %s", str(error).strip().splitlines()[0])

    return forgiving
