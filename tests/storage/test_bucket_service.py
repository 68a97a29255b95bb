"""Endpoints and keys of services come from the environment, by the services' own names."""

import pytest

from hubtune.errors import MachineError
from hubtune.storage.bucket_service import connection_to, key_variables, without_secrets

CASES = {
    "oss": ("OSS_ENDPOINT", "oss-cn-hangzhou-internal.aliyuncs.com", "oss-cn-hangzhou", "OSS_ACCESS_KEY"),
    "cos": ("COS_ENDPOINT", "https://cos.ap-guangzhou.myqcloud.com", "ap-guangzhou", "COS_SECRET"),
    "bos": ("BOS_ENDPOINT", "https://s3.bj.bcebos.com", "bj", "BCE_"),
}


@pytest.mark.parametrize("scheme", CASES)
def test_a_service_is_reached_by_its_own_variables(scheme, monkeypatch):
    variable, endpoint, region, prefix = CASES[scheme]
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(MachineError, match=f"{scheme}:// needs the endpoint .*: set {variable}, for example"):
        connection_to(scheme, attempts=1)
    monkeypatch.setenv(variable, endpoint)
    names = key_variables(scheme).split(" and ")
    assert all(name.startswith(prefix) for name in names)
    for number, name in enumerate(names):
        monkeypatch.setenv(name, f"value {number}")
    made = connection_to(scheme, attempts=3)
    assert made.endpoint == f"https://{endpoint.removeprefix('https://')}" and made.region == region
    assert made.keys == ("value 0", "value 1", None)
    assert made.config["retries"] == {"mode": "standard", "max_attempts": 3}
    assert made.config["request_checksum_calculation"] == "when_required"
    assert (made.config.get("s3") == {"addressing_style": "virtual"}) == (scheme != "bos")
    monkeypatch.setenv(variable, "http://127.0.0.1:9000")
    assert "s3" not in connection_to(scheme, attempts=3).config


def test_other_names_of_a_services_keys_count_if_the_first_is_not_set(monkeypatch):
    monkeypatch.setenv("COS_ENDPOINT", "https://cos.ap-guangzhou.myqcloud.com")
    monkeypatch.delenv("COS_SECRET_ID", raising=False)
    monkeypatch.setenv("TENCENTCLOUD_SECRET_ID", "id")
    assert connection_to("cos", attempts=1).keys[0] == "id"


def test_secrets_of_the_environment_are_taken_out_of_messages(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY-secret")
    assert without_secrets("denied for CANARY-secret\n at x") == "denied for … at x"
    assert len(without_secrets("x" * 1000)) == 201
