"""The last look before a destructive call: is the world still what was approved?"""

from tasks.capi.client import Client
from tasks.estate.errors import NotFound, PlanIsStale
from tasks.estate.plans import Backup, Baseline, Plan
from tasks.estate.rules import pins, require_allowed
from tasks.estate.sites import Direction, Pair, Survey
from tasks.estate.version import code_version
from tasks.probes.websites import Prober
from tasks.surveys.survey import survey_install


def recheck(
    client: Client, prober: Prober, plan: Plan, backup: Backup, *, generation: int, other_site: bool
) -> Baseline:
    """Survey both sides afresh and return the baseline for the call. `backup` is the one that would be put back.

    Raises `PlanIsStale` naming every pinned fact that changed, a destructive call journaled since the plan was drafted,
    or a backup that is no longer completed; `WrongDestination` if the pair is no longer allowed.
    """
    if plan.code_version != code_version():
        raise PlanIsStale(f"Plan {plan.code} was drafted by other code (version {plan.code_version}) than runs now.")
    server_time = client.server_time()
    destination = survey_install(client, prober, plan.pair.destination.id)
    source = destination if plan.direction is Direction.BACK else survey_install(client, prober, plan.pair.source.id)
    _require_pins(plan, source, destination)
    if generation != plan.generation:
        raise PlanIsStale(
            f"Another copy or restore of {plan.pair.source.name} or {plan.pair.destination.name} was sent since this plan "
            f"was drafted (journal {generation}, plan {plan.generation})."
        )
    pair = Pair(source=source.install, destination=destination.install, direction=plan.direction)
    require_allowed(pair, other_site=other_site)
    _require_backup(client, plan, backup)
    return Baseline(
        backup_ids=listed_backup_ids(client, plan.pair.destination.id),
        server_time=server_time,
        source=source,
        destination=_with_files_of(source, prober, destination),
    )


def _with_files_of(source: Survey, prober: Prober, destination: Survey) -> Survey:
    """Add the digests of the files that only the source's pages name, an empty one for a file that is not there.

    A plugin that is active on the source alone is on no page of the destination: without this its arrival changes nothing.
    """
    primary, there = destination.install.primary_domain, destination.content.assets
    if primary is None:
        return destination
    missing = [path for path in source.content.assets if path not in there]
    read = {path: prober.asset(primary, path) for path in missing}
    known = {path: digest for path, digest in read.items() if digest is not None}
    content = destination.content.model_copy(update={"assets": dict(sorted((there | known).items()))})
    return destination.model_copy(update={"content": content})


def _require_pins(plan: Plan, source: Survey, destination: Survey) -> None:
    now = pins(source, destination, plan.direction, plan.options)
    moved = [f"{name}: was {old}, is {now.get(name)}" for name, old in plan.pinned.items() if now.get(name) != old]
    if moved:
        raise PlanIsStale("The world changed after this plan was shown: " + "; ".join(moved) + ".", changed=moved)


def _require_backup(client: Client, plan: Plan, backup: Backup) -> None:
    wanted = [*dict.fromkeys((plan.backup.id, backup.id))] + (
        [plan.restore_backup_id] if plan.restore_backup_id else []
    )
    for backup_id in wanted:
        status = client.backup(plan.pair.destination.id, backup_id).status
        if status != "completed":
            raise PlanIsStale(
                f"Backup {backup_id} of {plan.pair.destination.name} is {status!r}; expected 'completed'."
            )


def listed_backup_ids(client: Client, install_id: str) -> tuple[str, ...] | None:
    """Ids of every listed backup, or None where the host has no such list (API 1.10): then rank 1 cannot be read."""
    try:
        return tuple(backup.id for backup in client.backups(install_id))
    except NotFound:
        return None
