"""How the sandbox's worker logs in to installs by SSH: with a key that the emulated host accepts, at gateways that it trusts."""

import asyncio
from pathlib import Path

import asyncssh
import httpx

HOST = "{install}.ssh.wpengine.example"


class SshLogin:
    """The key and the trusted host keys in a folder of state. `port` is the loopback port of the emulated gateway."""

    def __init__(self, state: Path, port: int) -> None:
        self.port = port
        self._key, self._known = state / "ssh_key", state / "ssh_known_hosts"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a worker that logs in so."""
        return {
            "UNDERSTUDY_SSH_KEY_FILE": str(self._key),
            "UNDERSTUDY_SSH_KNOWN_HOSTS": str(self._known),
            "UNDERSTUDY_SSH_HOST": HOST,
            "UNDERSTUDY_SSH_GATEWAY": f"127.0.0.1:{self.port}",
        }

    def enrol(self, emulator: str) -> None:
        """Let the worker's key log in to all installs, and trust the gateway's key, which is new at each start of the emulator.

        On the real host a person compares that key first: `understudy trust-host`. Raise `httpx.HTTPError` and `OSError`.
        """
        if not self._key.exists():
            self._key.touch(mode=0o600)
            self._key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        public = asyncssh.read_private_key(self._key).export_public_key().decode()
        with httpx.Client(base_url=emulator, trust_env=False, timeout=10) as client:
            client.post("/_sandbox/keys", json={"key": public}).raise_for_status()
            installs = client.get("/_sandbox/estate").raise_for_status().json()["installs"]
        gateway = asyncio.run(asyncssh.get_server_host_key("127.0.0.1", self.port, config=None))
        assert gateway is not None, "the gateway has a key"  # noqa: S101  # an invariant, not input
        line = gateway.export_public_key().decode().strip()
        self._known.write_text("".join(f"{HOST.format(install=name)} {line}\n" for name in installs))
