"""`dump`: export production's database into one anonymized dump from a terminal, without a Prefect server."""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.options import Off, PlanOnly, Policy, Requester, RiskPhrase
from deployments.cli.output import Result, columns
from deployments.cli.run_in_process import done_result, local_run, refused_result, with_retries
from tasks import exports
from tasks.dumps.export_plan import ExportPlan, Snapshot
from tasks.dumps.extract import batches_of
from tasks.dumps.segment_writer import Part
from tasks.estate.dumps import DumpFacts, require_choices
from tasks.estate.errors import UnderstudyError
from tasks.runtime import task_runners

Source = Annotated[
    str,
    typer.Option(
        "--source",
        envvar="UNDERSTUDY_SOURCE_DATABASE",
        show_envvar=True,
        help="postgresql://… of production, with a read-only role. Prefer the environment variable: every user of the "
        "machine can read the options of a running program.",
    ),
]
To = Annotated[
    Path | None, typer.Option("--to", file_okay=False, help="Folder for the dump; created if it is missing.")
]


def dump(
    policy: Policy,
    source: Source = "",
    to: To = None,
    attachments: Annotated[bool, typer.Option(help="Whether the content of attachments is exported.")] = True,
    off: Off = None,
    risk_phrase: RiskPhrase = "",
    requested_by: Requester = "",
    plan_only: PlanOnly = False,
) -> Result:
    """Export a database into one anonymized dump: plan, extract masked rows from one snapshot, bundle and verify them.

    Does what the flow `anonymize` does, in this process. Requires UNDERSTUDY_MASKING_KEY.
    """
    document: dict[str, Any] = {"plan": None}
    settings = {"SOURCE_DATABASE": source, "DUMP_FOLDER": str(to.resolve()) if to else ""}
    with local_run(policy, settings) as run_id:
        try:
            chosen = require_choices(
                attachments=attachments, off=[each.value for each in off or []], risk_phrase=risk_phrase
            )
            with exports.snapshot(policy.stem) as held:
                plan = with_retries(exports.plan_export.fn, policy.stem, chosen, held, requested_by=requested_by)
                document["plan"] = _planned(plan)
                if plan_only:
                    return done_result("Planned", document, _plan_lines(plan))
                with_retries(exports.collect_secrets.fn, plan, held)
                parts = _extract(plan, held, run_id)
            facts = with_retries(exports.bundle_dump.fn, plan, parts)
        except UnderstudyError as error:
            return refused_result(error, document)
    return done_result(
        "Exported", document, _dump_lines(facts), dump=facts.url, bytes=facts.bytes, rows=facts.trailer.rows
    )


def _extract(plan: ExportPlan, held: Snapshot, run_id: str) -> tuple[Part, ...]:
    """Extract every batch in a few threads; the server does the work. One that fails ends the export."""
    with ThreadPoolExecutor(max_workers=int(os.environ.get(task_runners.WORKERS, "2"))) as pool:
        running = {
            pool.submit(with_retries, exports.extract_batch.fn, plan.policy, held, batch, run_id): batch
            for batch in batches_of(plan.masking, plan.units)
        }
        try:
            return exports.collect_parts(plan, ((running[f], f.result) for f in as_completed(running)), run_id)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _planned(plan: ExportPlan) -> dict[str, Any]:
    masking = plan.masking
    return {
        "source": plan.header.source_host,
        "database": plan.header.source_database,
        "policy": plan.header.policy,
        "tables": [
            {
                "table": str(table.table.name),
                "columns": [
                    {"column": c.column.name, "rule": "unread" if c.unread else c.rule.word, "raw": c.raw}
                    for c in table.columns
                ],
            }
            for table in masking.tables
        ],
        "dropped": masking.dropped,
        "excluded": masking.excluded,
        "left_out": [{"name": name, "reason": why} for name, why in masking.left_out],
        "notes": masking.notes,
    }


def _plan_lines(plan: ExportPlan) -> list[str]:
    masking = plan.masking
    rows = [
        (str(table.table.name), len(table.columns), sum(column.masked for column in table.columns))
        for table in masking.tables
    ]
    return [
        f"The policy fits {plan.header.source_database} on {plan.header.source_host}: {len(rows)} tables are exported.",
        "",
        *(columns(rows, head=("table", "columns", "masked")) if rows else []),
        *([f"Without rows: {', '.join(masking.dropped)}"] if masking.dropped else []),
        *([f"Excluded: {', '.join(masking.excluded)}"] if masking.excluded else []),
        *(f"Note: {note}" for note in masking.notes),
        "",
        "Nothing was exported.",
    ]


def _dump_lines(facts: DumpFacts) -> list[str]:
    return [
        f"Exported: {facts.url}",
        f"{facts.trailer.rows} rows of {len(facts.trailer.tables)} tables, {facts.bytes / 1e6:.1f} MB.",
    ]
