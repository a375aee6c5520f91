"""The last check before a destructive call: whether the facts that were approved still hold."""

from tasks.capi.client import Client
from tasks.configuration.code_version import code_version
from tasks.estate.copy_rules import pins, require_allowed
from tasks.estate.errors import NotFound, PlanIsStale
from tasks.estate.plans import Backup, Baseline, Plan
from tasks.estate.sites import Direction, Pair, Survey
from tasks.surveys.survey import survey_install, with_appearance
from tasks.websites.wordpress_site import Prober


def recheck(
    client: Client, prober: Prober, plan: Plan, backup: Backup, *, generation: int, other_site: bool
) -> Baseline:
    """Survey both sides again and return the baseline for the call. `backup` is the one that a restore would use.

    Raise `PlanIsStale` if a pinned fact changed, a destructive call was sent since the plan was made, or a backup is no
    longer completed; `WrongDestination` if the pair is no longer allowed.
    """
    if plan.code_version != code_version():
        raise PlanIsStale(
            f"Plan {plan.code} was made by another version of the code ({plan.code_version}) than runs now."
        )
    server_time = client.server_time()
    destination = with_appearance(prober, survey_install(client, prober, plan.pair.destination.id))
    source = destination if plan.direction is Direction.BACK else survey_install(client, prober, plan.pair.source.id)
    _require_pins(plan, source, destination)
    if generation != plan.generation:
        raise PlanIsStale(
            f"A copy or restore of {plan.pair.source.name} or {plan.pair.destination.name} was sent after this plan was made "
            f"(calls in the ledger: {generation}, in the plan: {plan.generation})."
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
    """Add the digests of files that only pages of the source name; a missing file has an empty digest.

    A plugin that is active only on the source is on no page of the destination, so that its arrival would not be seen.
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
        raise PlanIsStale("Facts changed after this plan was shown: " + "; ".join(moved) + ".", changed=moved)


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
    """Return the ids of all backups, or None if the host has no such list (API 1.10), so that rank 1 cannot be read."""
    try:
        return tuple(backup.id for backup in client.backups(install_id))
    except NotFound:
        return None
