"""`trust-host`: the one way in which a worker begins to trust a gateway."""

from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.ssh_gateway import SshGateway
from tasks.configuration.settings import Settings
from tasks.wpcli.access import access_to
from tasks.wpcli.connection import Connection
from tasks.wpcli.host_keys import fingerprint


@pytest.fixture
def untrusting(ssh: Callable[[], Settings]) -> Settings:
    """The settings of a worker that trusts no gateway yet."""
    ssh().ssh_known_hosts.unlink()
    return ssh()


def test_a_person_confirms_the_fingerprint(untrusting: Settings, gateway: SshGateway, cli: Callable[..., Any]) -> None:
    """The key is shown before it is trusted, and connections are possible from then on."""
    ended = cli("trust-host", "schulstage", input="yes\n")
    assert ended.exit_code == 0
    assert f"shows this key: {fingerprint(gateway.host_key)}" in ended.stderr
    assert "is trusted from now on" in ended.stdout
    with Connection(access_to("schulstage", untrusting)):
        pass
    assert "already trusted" in cli("trust-host", "schulstage").stdout


@pytest.mark.parametrize("arguments", [(), ("--fingerprint", "SHA256:another")], ids=["not-confirmed", "another"])
def test_a_key_that_nobody_expected_is_not_trusted(
    arguments: tuple[str, ...], untrusting: Settings, cli: Callable[..., Any]
) -> None:
    """Without confirmation, and with another fingerprint than the expected one, the file stays as it is."""
    ended = cli("trust-host", "schulstage", *arguments, input="y\n")
    assert ended.exit_code == 1
    assert "HostKeyRefused" in ended.stderr
    assert not untrusting.ssh_known_hosts.exists()


def test_an_expected_fingerprint_needs_no_terminal(
    untrusting: Settings, gateway: SshGateway, machine: Callable[..., Any]
) -> None:
    """Who knows the fingerprint already is not asked."""
    code, document = machine("trust-host", "schulstage", "--fingerprint", fingerprint(gateway.host_key))
    assert code == 0
    assert document == {
        "install": "schulstage", "host": "schulstage.ssh.wpengine.example",
        "fingerprint": fingerprint(gateway.host_key), "added": True,
    }  # fmt: skip


def test_a_changed_key_is_replaced_only_on_request(
    ssh: Callable[[], Settings], estate: Host, gateway: SshGateway, cli: Callable[..., Any]
) -> None:
    """Both fingerprints are shown; the keys of other installs stay trusted."""
    estate.switch_on("ssh-host-key-changed")
    refused = cli("trust-host", "schulstage", input="yes\n")
    assert refused.exit_code == 1
    assert f"trusted is {fingerprint(gateway.host_key)}" in refused.stderr
    assert cli("trust-host", "schulstage", "--replace", input="yes\n").exit_code == 0
    with Connection(access_to("schulstage", ssh())):
        pass
    estate.switch_off_all()
    with Connection(access_to("schulprod", ssh())):
        pass


def test_a_gateway_that_is_away_is_named(untrusting: Settings, gateway: SshGateway, cli: Callable[..., Any]) -> None:
    """The command ends with the reason and changes nothing."""
    gateway.close()
    ended = cli("trust-host", "schulstage")
    assert ended.exit_code == 1
    assert "schulstage.ssh.wpengine.example: no SSH connection: nothing listens" in ended.stderr
