"""The services that keep buckets: endpoints and keys, from the environment by the services' own names."""

import ipaddress
import logging
import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hubtune.errors import MachineError
from hubtune.extras import install_extra
from hubtune.storage.download import CONNECT_SECONDS

EXTRA = install_extra("remote")
_SECRET_VARIABLE = re.compile(r"KEY|SECRET|TOKEN|PASSW|CREDENTIAL", re.IGNORECASE)


@dataclass(frozen=True)
class BucketService:
    """A service with S3's protocol; the first variable of each kind that is set counts.

    Attributes:
        endpoint: variable of its address; empty where botocore finds the endpoint itself.
        example: an endpoint.
        keys: variables of the key's id, the key itself, and the token of temporary keys.
        region: finds the region in the endpoint's host name.
        create_header: header of a request that must not overwrite; empty: S3's own ``If-None-Match: *``.
        virtual: whether the bucket must be a part of the host's name.
    """

    endpoint: str = ""
    example: str = ""
    keys: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] = ((), (), ())
    region: str = ""
    create_header: str = ""
    virtual: bool = False


SERVICES = {
    "s3": BucketService(),
    "oss": BucketService(
        "OSS_ENDPOINT",
        "https://oss-cn-hangzhou.aliyuncs.com",
        (("OSS_ACCESS_KEY_ID",), ("OSS_ACCESS_KEY_SECRET",), ("OSS_SESSION_TOKEN",)),
        r"(oss-[a-z0-9-]+?)(?:-internal)?\.",
        "x-oss-forbid-overwrite",
        virtual=True,
    ),
    "cos": BucketService(
        "COS_ENDPOINT",
        "https://cos.ap-guangzhou.myqcloud.com",
        (
            ("COS_SECRET_ID", "TENCENTCLOUD_SECRET_ID"),
            ("COS_SECRET_KEY", "TENCENTCLOUD_SECRET_KEY"),
            ("COS_SESSION_TOKEN", "TENCENTCLOUD_SESSION_TOKEN"),
        ),
        r"cos\.([a-z0-9-]+)\.",
        "x-cos-forbid-overwrite",
        virtual=True,
    ),
    "bos": BucketService(
        "BOS_ENDPOINT",
        "https://s3.bj.bcebos.com",
        (("BCE_ACCESS_KEY_ID",), ("BCE_SECRET_ACCESS_KEY",), ("BCE_SESSION_TOKEN",)),
        r"s3\.([a-z0-9-]+)\.",
    ),
}


def key_variables(scheme: str) -> str:
    """Return the names of the variables that hold a service's keys, for messages."""
    if scheme == "s3":
        others = "for another service than Amazon's, AWS_ENDPOINT_URL"
        return f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({others})"
    service = SERVICES.get(scheme)
    if service is None:
        return "the variables that the service reads"
    return " and ".join(names[0] for names in service.keys[:2])


@dataclass(frozen=True)
class Connection:
    """How a service is reached.

    Attributes:
        endpoint: its address; ``None``: botocore's own choice, by ``AWS_ENDPOINT_URL`` and others.
        keys: id, key and token; ``None``: botocore's own search for them.
        config: arguments of ``botocore.config.Config``.
    """

    endpoint: str | None = None
    region: str | None = None
    keys: tuple[str | None, str | None, str | None] = (None, None, None)
    config: dict[str, Any] = field(default_factory=dict)


def connection_to(scheme: str, *, attempts: int) -> Connection:
    """Return how a service is reached, and how often a request is tried.

    Raises:
        MachineError: the variable of the endpoint is not set.
    """
    for library in ("botocore", "aiobotocore"):
        # They would say on the terminal where the keys are from, at each connection.
        logging.getLogger(library).setLevel(logging.WARNING)
    service = SERVICES[scheme]
    # Services other than Amazon's refuse the checksums that botocore adds by default.
    config: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": 60,
        "retries": {"mode": "standard", "max_attempts": attempts},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if not service.endpoint:
        return Connection(config=config)
    endpoint = os.environ.get(service.endpoint, "").strip()
    if not endpoint:
        raise MachineError(
            f"{scheme}:// needs the endpoint of the bucket's region: set {service.endpoint}, for example to "
            f"{service.example}"
        )
    if "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    host = urlsplit(endpoint).hostname or ""
    if service.virtual and not _is_number(host):
        config["s3"] = {"addressing_style": "virtual"}  # the bucket as a part of the path is refused
    region = re.search(service.region, host)
    keys = [next(filter(None, map(os.environ.get, names)), None) for names in service.keys]
    return Connection(endpoint, region[1] if region else "us-east-1", (keys[0], keys[1], keys[2]), config)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def without_secrets(text: str) -> str:
    """Shorten the message of a library, and remove the secrets of the environment from it."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_VARIABLE.search(name):
            text = text.replace(value, "…")
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 200 else f"{text[:200]}…"
