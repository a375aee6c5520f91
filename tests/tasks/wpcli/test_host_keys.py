"""Trusted host keys: a file in OpenSSH's format that nobody but a person adds to."""

import stat
from pathlib import Path

import asyncssh
import pytest

from tasks.estate.errors import HostKeyRefused, Misconfigured
from tasks.wpcli.host_keys import add_key, fingerprint, remove_keys, require_trusted, trusted_keys

HOST = "schulstage.ssh.wpengine.example"
KEY, OTHER = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ecdsa-sha2-nistp256")


def test_a_key_that_was_added_is_trusted(tmp_path: Path) -> None:
    """The file and its folder are made, readable only by their owner, and later keys are added to it."""
    file = tmp_path / "new" / "known_hosts"
    add_key(file, HOST, KEY)
    add_key(file, HOST, OTHER)
    assert trusted_keys(file, HOST)[0] == [KEY.convert_to_public(), OTHER.convert_to_public()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_counts_for_its_host_only(tmp_path: Path) -> None:
    """The gateway of another install is not trusted."""
    add_key(tmp_path / "known_hosts", HOST, KEY)
    with pytest.raises(HostKeyRefused, match="no trusted host key"):
        require_trusted(tmp_path / "known_hosts", "schulprod.ssh.wpengine.example", "schulprod")


def test_a_file_without_a_line_end_is_continued(tmp_path: Path) -> None:
    """A line that somebody wrote with an editor is not broken by the next one."""
    file = tmp_path / "known_hosts"
    file.write_text(f"{HOST} {KEY.export_public_key().decode().strip()}")
    add_key(file, "other.example", OTHER)
    assert len(trusted_keys(file, HOST)[0]) == len(trusted_keys(file, "other.example")[0]) == 1


def test_the_keys_of_one_host_are_removed(tmp_path: Path) -> None:
    """The lines of other hosts stay as they are."""
    file = tmp_path / "known_hosts"
    for host, key in ((HOST, KEY), ("other.example", OTHER), (HOST, OTHER)):
        add_key(file, host, key)
    remove_keys(file, HOST)
    assert trusted_keys(file, HOST)[0] == []
    assert len(trusted_keys(file, "other.example")[0]) == 1


def test_a_pattern_is_not_removed_for_one_host(tmp_path: Path) -> None:
    """A line for many hosts is a person's to change."""
    file = tmp_path / "known_hosts"
    add_key(file, "*.ssh.wpengine.example", KEY)
    with pytest.raises(Misconfigured, match="by a pattern or a hash"):
        remove_keys(file, HOST)


def test_a_file_that_is_not_readable_trusts_nobody(tmp_path: Path) -> None:
    """A file that is not text is not the file that somebody reviewed."""
    file = tmp_path / "known_hosts"
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(Misconfigured, match="UNDERSTUDY_SSH_KNOWN_HOSTS cannot be read"):
        trusted_keys(file, HOST)


def test_a_fingerprint_is_written_as_openssh_writes_it() -> None:
    """A person compares it with what the host shows."""
    assert fingerprint(KEY).startswith("SHA256:")
    assert len(fingerprint(KEY)) == 50
