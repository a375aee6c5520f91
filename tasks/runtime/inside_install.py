"""Work on the WordPress of an install: its gateway, both sides' domains, and the keys that the steps after a copy need."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from tasks.estate.polling import utc_now
from tasks.estate.recipes import CopyStep, PlannedSteps
from tasks.masking.session_settings import PASSWORD
from tasks.neutralisation.context import Context, is_network, table_prefix
from tasks.neutralisation.mask_people import hashed_password
from tasks.runtime.current_run import this_run
from tasks.runtime.resources import open_clients, open_connection, run_keyring
from tasks.surveys.inside_checks import NamedInstall, named_install
from tasks.websites.wordpress_site import Prober

if TYPE_CHECKING:
    from tasks.wpcli.connection import Connection

T = TypeVar("T")


def work_inside(
    install: str, steps: PlannedSteps, work: Callable[["Connection", Context], T], *, copied_at: datetime
) -> T:
    """Return the result of work on the WordPress of `install`, onto which the steps' origin was copied at this moment (UTC).

    Raises what the hosting API and the gateway raise.
    """
    with open_clients(install, steps.origin) as (client, prober):
        own, other = named_install(client, install), named_install(client, steps.origin)
        prober.add_domains(install, own.hosts)
        with open_connection(install) as connection:
            context = _context(connection, steps, own, other, moment=copied_at)
            return work(connection, replace(context, visit=_visitor(prober, own)))


def look_at_origin(install: str, steps: PlannedSteps, look: Callable[["Connection", Context], T]) -> T:
    """Return what `look` finds on the WordPress of the steps' origin, with the context of a later copy onto `install`."""
    with open_clients(install, steps.origin) as (client, _):
        own, other = named_install(client, install), named_install(client, steps.origin)
    with open_connection(steps.origin) as connection:
        return look(connection, _context(connection, steps, own, other, moment=utc_now()))


def _visitor(prober: Prober, own: NamedInstall) -> Callable[[], Mapping[str, str] | None] | None:
    """Return a function that visits the install's front page and returns its headers.

    None if the install has no domain, or asks for a login that this worker does not have: no visitor sees the site then.
    """
    primary = own.install.primary_domain
    if primary is None or prober.visit(primary, fresh=True).protected:
        return None

    def visit() -> Mapping[str, str] | None:
        page = prober.visit(primary, fresh=True)
        return page.headers if page.status else None

    return visit


def _context(
    connection: "Connection", steps: PlannedSteps, own: NamedInstall, other: NamedInstall, *, moment: datetime
) -> Context:
    masks = CopyStep.MASK_PEOPLE in steps.steps
    return Context(
        recipe=steps.recipe,
        install=own.install.name,
        source=other.install.name,
        own_domains=_primary_first(own),
        other_domains=_primary_first(other),
        moment=moment,
        run=this_run(),
        key=run_keyring(this_run()).of_wordpress() if masks else b"",
        password_hash=hashed_password(PASSWORD) if masks else "",
        prefix=table_prefix(connection),
        is_network=is_network(connection),
    )


def _primary_first(named: NamedInstall) -> tuple[str, ...]:
    primary = (named.install.primary_domain or "").lower()
    return tuple(sorted(named.hosts, key=lambda host: (host != primary, host)))
