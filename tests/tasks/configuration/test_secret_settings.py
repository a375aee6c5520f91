"""A secret is in the environment or in a file, never in both, and is never shown."""

from pathlib import Path

import pytest

from tasks.configuration.secret_settings import LARGEST, secret_setting
from tasks.configuration.settings import forget_settings, load_settings
from tasks.estate.errors import Misconfigured

NAME = "UNDERSTUDY_AGENCY_PASSWORD"


def test_a_value_is_read_from_the_environment_or_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content of the file counts without the line end that editors add; without either there is no value."""
    assert secret_setting(NAME) == ""
    path = tmp_path / "password"
    path.write_text("hunter 2\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(path))
    assert secret_setting(NAME) == "hunter 2"
    monkeypatch.delenv(f"{NAME}_FILE")
    monkeypatch.setenv(NAME, "other")
    assert secret_setting(NAME) == "other"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "cannot be read: FileNotFoundError"),
        (b"\n", "is empty"),
        (b"\xff", "cannot be read: UnicodeDecodeError"),
        (b"x" * (LARGEST + 1), "is longer than a secret"),
    ],
)
def test_a_file_without_a_value_is_an_error(
    content: bytes | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing or wrong file is reported by the name of its setting, and is not an empty value."""
    path = tmp_path / "secret-name"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(f"{NAME}_FILE", str(path))
    with pytest.raises(Misconfigured, match=f"{NAME}_FILE names {found}") as caught:
        secret_setting(NAME)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_two_values_are_ambiguous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the variable and the file are both set, neither is used and neither is shown."""
    (tmp_path / "password").write_text("hunter2")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "password"))
    monkeypatch.setenv(NAME, "hunter3")
    with pytest.raises(Misconfigured, match="both set") as caught:
        secret_setting(NAME)
    assert "hunter" not in caught.value.message


def test_every_secret_of_the_worker_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own secrets are read from files too; what they hold is checked as a variable is."""
    (tmp_path / "key").write_text("k" * 32)
    monkeypatch.setenv("UNDERSTUDY_MASKING_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.delenv("UNDERSTUDY_MASKING_KEY", raising=False)
    forget_settings()
    assert load_settings().masking_key.get_secret_value() == "k" * 32
    (tmp_path / "address").write_text("postgresql://u:se/cret@h/d")
    monkeypatch.setenv("UNDERSTUDY_TARGET_DATABASE_FILE", str(tmp_path / "address"))
    forget_settings()
    with pytest.raises(Misconfigured, match="UNDERSTUDY_TARGET_DATABASE is ambiguous") as caught:
        load_settings()
    assert "cret" not in caught.value.message
    forget_settings()
