"""Keys and passwords stay out of errors, logs and other users' reach."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.pretty import pprint

from hub.runtime.processes import StartError, check_ports, open_log
from hub.runtime.settings import SettingsError, load_settings
from hub.store.vault import Vault

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUB_DATABASE_URL", "mysql://hub:hush@host/hub"),
        ("HUB_DATABASE_URL", "postgresql://hub:hu/hush@host/hub"),
        ("HUB_REDIS_URL", "http://:hush@host"),
        ("HUB_SECRET_KEYS", "hush"),
    ],
)
def test_an_error_does_not_repeat_a_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings({name: value})
    assert "hush" not in str(caught.value)


def test_settings_can_be_shown_without_secrets() -> None:
    key = Vault.new_key()
    settings = load_settings(
        {"HUB_SECRET_KEYS": key, "HUB_DATABASE_URL": "postgresql://u:hush@h/d", "HUB_PORT": "9001"}
    )
    out = StringIO()
    pprint(settings, console=Console(file=out))
    for text in (repr(settings), str(settings), out.getvalue()):
        assert key not in text
        assert "hush" not in text
        assert "9001" in text


def test_processes_that_make_the_key_at_once_agree_on_it(tmp_path: Path) -> None:
    code = (
        "import sys; from hub.runtime.settings import load_settings\n"
        f"s = load_settings({{'HUB_DATA': {str(tmp_path)!r}}}); sys.stdin.readline(); print(*s.keys())"
    )
    several = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in several:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    found = {process.communicate()[0] for process in several}
    assert found == {(tmp_path / "secret.key").read_text() + "\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(StartError, match=r"HUB_HOST=192\.0\.2\.1 is no address of this machine"):
        check_ports("192.0.2.1", [("HUB_PORT", 0)])


def test_one_port_for_two_is_told() -> None:
    with pytest.raises(StartError, match="HUB_PORT and HUB_SANDBOX_PORT are both 65000"):
        check_ports("127.0.0.1", [("HUB_PORT", 65000), ("HUB_SANDBOX_PORT", 65000)])


def test_a_long_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.runtime.processes._LOG_BYTES", 3)
    for line in (b"first\n", b"second\n"):
        with open_log(tmp_path, "web") as log:
            log.write(line)
    assert (tmp_path / "logs" / "web.log").read_bytes() == b"second\n"
    assert (tmp_path / "logs" / "web.log.1").read_bytes() == b"first\n"
