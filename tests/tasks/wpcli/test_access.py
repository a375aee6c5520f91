"""How an install is reached: which settings allow it, which key is used, and what is refused without being shown."""

from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tasks.configuration.settings import Settings, forget_settings, load_settings
from tasks.estate.errors import Misconfigured
from tasks.estate.estate import Estate, Site
from tasks.wpcli.access import access_to, has_access
from tests.ssh_access import worker_key


@pytest.mark.parametrize(
    ("listed", "allowed"),
    [("", False), ("schulstage", True), ("schulprod schulstage", True), ("*", True), ("schulstage2", False)],
)
def test_ssh_is_off_until_the_settings_name_the_install(
    listed: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker logs in only to installs that are listed; the list is empty by default."""
    monkeypatch.setenv("UNDERSTUDY_SSH_INSTALLS", listed)
    assert has_access("schulstage", Settings(), Estate()) is allowed


@pytest.mark.parametrize(
    ("ssh", "install", "allowed"), [(True, "schulstage", True), (True, "other", False), (False, "schulstage", False)]
)
def test_a_site_of_the_estate_may_have_ssh(ssh: bool, install: str, allowed: bool) -> None:
    """`ssh: true` allows all installs of that site, and no other."""
    estate = Estate(sites=(Site(name="Schulfest", production="schulprod", staging="schulstage", ssh=ssh),))
    assert has_access(install, Settings(), estate) is allowed


def test_an_install_has_a_gateway_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings for the sandbox, the gateway is the host's, on the port of SSH."""
    access = access_to("schulstage", Settings(), with_key=False)
    assert (access.host, access.address, access.port) == ("schulstage.ssh.wpengine.net",) * 2 + (22,)
    assert access.folder == "/sites/schulstage"


@pytest.mark.parametrize("name", ["", "../etc", "a b", "-oProxyCommand", "Schule", "a.b"])
def test_what_is_no_name_of_an_install_is_refused(name: str) -> None:
    """A name becomes part of a host name and of a path."""
    with pytest.raises(Misconfigured, match="not the name of an install"):
        access_to(name, Settings(), with_key=False)


@pytest.mark.parametrize("pattern", ["gateway.example", "{install}.example/x", "{install} example"])
def test_the_name_of_a_gateway_contains_the_install(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One name for all installs would be one host key for all of them."""
    monkeypatch.setenv("UNDERSTUDY_SSH_HOST", pattern)
    with pytest.raises(Misconfigured, match="UNDERSTUDY_SSH_HOST is not a host name"):
        access_to("schulstage", Settings(), with_key=False)


def test_the_key_may_be_in_the_variable_itself(ssh: Callable[[], Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where secrets come as variables, no file is needed."""
    monkeypatch.delenv("UNDERSTUDY_SSH_KEY_FILE")
    monkeypatch.setenv("UNDERSTUDY_SSH_KEY", worker_key().export_private_key().decode())
    forget_settings()
    assert access_to("schulstage", load_settings()).key == worker_key()


def test_without_a_key_the_agent_is_used(ssh: Callable[[], Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """An access without a key leaves the choice to the agent."""
    monkeypatch.delenv("UNDERSTUDY_SSH_KEY_FILE")
    forget_settings()
    assert access_to("schulstage", load_settings()).key is None


LOCKED = asyncssh.generate_private_key("ssh-ed25519")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("not a key, but s3cret", "is not a private key"),
        (LOCKED.export_private_key("pkcs8-pem", passphrase="s3cret").decode(), "has a passphrase"),
        (LOCKED.export_public_key().decode(), "is not a private key"),
    ],
    ids=["absent", "text", "passphrase", "public"],
)
def test_a_key_that_cannot_be_used_is_not_shown(
    content: str | None, message: str, ssh: Callable[[], Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable and what was expected, and nothing of the file."""
    file = tmp_path / "wrong_key"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("UNDERSTUDY_SSH_KEY_FILE", str(file))
    forget_settings()
    with pytest.raises(Misconfigured, match=message) as refused:
        access_to("schulstage", load_settings())
    assert "UNDERSTUDY_SSH_KEY_FILE" in refused.value.message
    assert "s3cret" not in refused.value.message
    assert refused.value.__cause__ is None


def test_two_keys_are_one_too_many(ssh: Callable[[], Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file and a variable could be two keys, so only one of them is accepted."""
    monkeypatch.setenv("UNDERSTUDY_SSH_KEY", "anything")
    forget_settings()
    with pytest.raises(Misconfigured, match="both set"):
        access_to("schulstage", load_settings())
