"""The state of the emulated host: accounts, sites, installs, and the faults and variants that are switched on."""

import base64
import time
from collections.abc import Callable
from typing import Any

from deployments.sandbox.host.document_store import Store, fixed_id, seed
from deployments.sandbox.host.faults import AT_THE_DOOR, FAULTS, FILE_FAULTS, SSH_FAULTS, Fault
from deployments.sandbox.host.http_messages import Request, Response
from deployments.sandbox.host.variants import PREPARED, VARIANTS
from deployments.sandbox.host.wp_cli import inside_of

__all__ = ["Estate", "Request", "Response"]


class Estate:
    """Accounts, sites, installs with their websites, and the faults and variants that are switched on."""

    def __init__(
        self,
        path: str = ":memory:",
        *,
        clock: Callable[[], float] = time.time,
        scale: float = 1 / 60,
        user: str = "demo",
        password: str = "demo",  # noqa: S107  # the sandbox's own login, printed by the demo
    ) -> None:
        """`scale`: real seconds for each second of the host. At 1/60 a copy of 20 minutes takes 20 seconds."""
        self.store = Store(path, clock)
        self.scale = scale
        self.faults: list[Fault] = []
        self.variants: list[tuple[str, str]] = []  # of websites: name, install ("": every one)
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        if not self.store.all("accounts"):
            seed(self.store)

    def close(self) -> None:
        """Close the state file."""
        self.store.close()

    def switch_on(
        self,
        name: str,
        *,
        install: str = "",
        method: str = "",
        path: str = "",
        times: int | None = None,
        **options: Any,
    ) -> None:
        """Switch on a fault of `FAULTS` or `SSH_FAULTS`. Raise `KeyError` for an unknown name."""
        if name not in FAULTS | SSH_FAULTS | FILE_FAULTS:
            raise KeyError(f"{name!r} is no fault; expected one of {', '.join(FAULTS | SSH_FAULTS | FILE_FAULTS)}")
        method, part = (method or AT_THE_DOOR.get(name, ("", ""))[0]), path
        self.faults.append(Fault(name, install, method, part, times, options))

    def vary(self, name: str, *, install: str = "") -> None:
        """Switch on a variant of a website; see `variants.VARIANTS`. Raise `KeyError` for an unknown name."""
        if name not in VARIANTS:
            raise KeyError(f"{name!r} is no variant; expected one of {', '.join(VARIANTS)}")
        self.variants.append((name, install))
        with self.store.lock:
            for document in self.store.all("installs"):
                if name in PREPARED and install in ("", document["name"]):
                    PREPARED[name](self.store, document)

    def switch_off_all(self) -> None:
        """Switch off all faults and variants."""
        self.faults.clear()
        self.variants.clear()

    def fault(self, name: str, install: str = "", method: str = "", path: str = "") -> Fault | None:
        """Return the fault of this name that applies here, or None."""
        return next((fault for fault in self.faults if fault.meets(name, install, method, path)), None)

    def journal(self) -> list[dict[str, Any]]:
        """Return all API requests: method, path, install, status, whether they were executed, and the fault."""
        with self.store.lock:
            return self.store.all("journal")

    def copies_received(self) -> int:
        """Return how many copies were accepted, whatever the answer was."""
        return sum(row["executed"] and row["path"].endswith("/install_copy") for row in self.journal())

    def restores_received(self) -> int:
        """Return how many restores were accepted."""
        return sum(row["executed"] and row["path"].endswith("/restore") for row in self.journal())

    def relabel(self, install: str, *, name: str = "", environment: str = "") -> None:
        """Rename an install or change its environment, as in the portal."""
        with self.store.lock:
            document = self.named(install)
            document |= {k: v for k, v in (("name", name), ("environment", environment)) if v}
            self.store.put("installs", document)

    def change_user(self, email: str, /, **fields: Any) -> None:
        """Change a user in every account, as in the portal: `mfa_enabled=False`, `gone=True`, `email=…`."""
        with self.store.lock:
            found = [user for user in self.store.all("users") if user["email"] == email]
            if not found or not fields.keys() <= found[0].keys():
                raise KeyError(f"no user {email!r} with the fields {', '.join(fields)}")
            for user in found:
                self.store.put("users", user | fields)

    def add_key(self, key: str, *, account: str = "Understudy Demo") -> None:
        """Let whoever has this public key, a line in OpenSSH's format, log in to all installs of an account by SSH."""
        with self.store.lock:
            body = key.split()[1]
            self.store.put("keys", {"id": f"{account} {body}", "account_id": fixed_id(account), "key": body})

    def change_inside(self, install: str, /, **facts: Any) -> None:
        """Change what only WP-CLI sees of a site: see `wp_cli.inside_of`. Raise `KeyError` for an unknown fact."""
        with self.store.lock:
            document = self.named(install)
            unknown = facts.keys() - inside_of(document).keys()
            if unknown:
                raise KeyError(f"{', '.join(sorted(unknown))}; expected some of {', '.join(inside_of(document))}")
            document["inside"] = {**document.get("inside", {}), **facts}
            self.store.put("installs", document)

    def named(self, name: str) -> dict[str, Any]:
        """Return the document of the install with this name. Raise `KeyError` if it does not exist."""
        found = next((i for i in self.store.all("installs") if i["name"] == name), None)
        if found is None:
            raise KeyError(f"no install is named {name!r}")
        return found
