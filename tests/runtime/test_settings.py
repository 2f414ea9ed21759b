"""Settings: one source, and a bad one is one clear line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hub.runtime.settings import (
    Settings,
    SettingsError,
    load_settings,
    settings_table,
    to_environ,
    variables,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HUB_PORT", "eighty", "a whole number from 1 to 65535"),
        ("HUB_PORT", "99999", "65535"),
        ("HUB_PROT", "1", "HUB_PROT is no setting of the hub"),
        ("HUB_DATABASE_URL", "mysql://x", "postgresql://"),
        ("HUB_REDIS_URL", "http://x", "redis://"),
        ("HUB_LOG_LEVEL", "loud", "loud"),
        ("HUB_SECRET_KEYS", "abc", "hub doctor --new-key"),
        ("HUB_HOST", "my host", "IP address"),
        ("HUB_PUBLIC_URL", "hub.example.com", "https://"),
    ],
)
def test_a_bad_setting_is_named_with_its_mend_in_one_line(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert said in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_read_can_be_handed_on() -> None:
    read = load_settings(
        {
            "HUB_PORT": "9001",
            "HUB_ALLOW_PRIVATE_HOSTS": "a, b:1",
            "HUB_DATA": "/x",
            "PATH": "/bin",
            "HUB_URL": "x",
        }
    )
    assert (read.port, read.allow_private_hosts, read.data) == (9001, ("a", "b:1"), Path("/x"))
    assert load_settings(to_environ(read)) == read
    assert load_settings({"HUB_PORT": ""}) == Settings()


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = load_settings({"HUB_DATA": str(tmp_path / "new")})
    assert settings.keys() == settings.keys()
    assert (tmp_path / "new" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_every_setting_is_described() -> None:
    for line in settings_table().splitlines()[2:]:
        assert not line.endswith("|  |")


def test_compose_uses_the_same_settings() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert {"postgres", "redis", "migrate", "web", "worker"} <= set(compose["services"])
    used = set(re.findall(r"HUB_[A-Z_]+", (ROOT / "docker-compose.yml").read_text()))
    assert used
    assert used <= set(variables())
    for name in ("web", "worker", "migrate"):
        environment = compose["services"][name]["environment"]
        load_settings(
            {key: re.sub(r"\$\{[^}]*\}", "", str(value)) for key, value in environment.items()}
        )
