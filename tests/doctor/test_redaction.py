"""Secrets and names of users are removed from texts; the rest stays."""

import json
from pathlib import Path

import pytest

from hubtune.doctor.redaction import Redactor, is_secret_name, without_login

ENVIRONMENT = {
    "OSS_ACCESS_KEY_SECRET": "ca/na+ry one",
    "MY_TOKEN": "canary-two",
    "https_proxy": "http://me:canary-three@proxy:3128",
    "DATABASE_URL": "mysql://me:canary-four@host/db",
    "HUBTUNE_TOKEN": "canary-five",
    "HUBTUNE_HOME": "/home/alice/cache",
    "FLAGS_x": "1",
    "OMP_NUM_THREADS": "2",
    "EDITOR": "vi",
    "USE_AUTH": "true",
}
REDACTOR = Redactor(ENVIRONMENT, Path("/data/people/alice"))


@pytest.mark.parametrize(
    "text",
    [
        "the key ca/na+ry one was refused",
        "https://host/x?key=ca%2Fna%2Bry%20one",
        json.dumps({"key": "ca/na+ry one"}),
        "server said: canary-three is wrong",
        "canary-four",
        "base: s3://me:canary-six@bucket/pics?sig=canary",
        "password: canary-six",
        "--token=canary-six",
        '["--token", "canary-six"]',
        '{"api_key": "canary-six"}',
    ],
)
def test_secrets_are_removed(text):
    redacted = REDACTOR.text(text)
    assert "canary" not in redacted and "na%2Bry" not in redacted and "na+ry" not in redacted
    assert "…" in redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/people/alice/pics/1.jpg", "~/pics/1.jpg"),
        ("/data/people/alice2/pics", "/data/people/alice2/pics"),
        ("/home/bob/pics", "~/pics"),
        ("/Users/bob/pics", "~/pics"),
        (r"C:\Users\bob\pics", r"~\pics"),
        ('"C:\\\\Users\\\\bob\\\\pics"', '"~\\\\pics"'),
        ("train.epochs: 20, true", "train.epochs: 20, true"),
        ("module: resnet50_imagenet", "module: resnet50_imagenet"),
        ("https://host/file.tar", "https://host/file.tar"),
    ],
)
def test_users_become_a_tilde_and_other_texts_stay(text, expected):
    assert REDACTOR.text(text) == expected


def test_only_variables_that_are_read_are_given():
    assert REDACTOR.variables() == {
        "FLAGS_x": "1",
        "HUBTUNE_HOME": "~/cache",
        "OMP_NUM_THREADS": "2",
        "https_proxy": "http://…@proxy:3128",
    }
    nested = {"a": ["/home/bob", 1, None], "b": {"c": "canary-two"}}
    assert REDACTOR.value(nested) == {"a": ["~", 1, None], "b": {"c": "…"}}


def test_names_of_secrets_and_logins():
    assert all(map(is_secret_name, ("AWS_SECRET_ACCESS_KEY", "MYSQL_PWD", "GITHUB_TOKEN", "PGPASSWORD")))
    assert not any(map(is_secret_name, ("PWD", "HUBTUNE_HOME", "PATH", "OMP_NUM_THREADS")))
    assert without_login("me:word@proxy:3128") == "…@proxy:3128"
    assert without_login("proxy:3128") == "proxy:3128"
