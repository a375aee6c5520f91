"""`dump`: production's database to one anonymized dump, from a terminal, without a Prefect server."""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.in_process import PlanOnly, Policy, Requester, ended, local_run, patiently, refused
from deployments.cli.output import Told, columns, command
from tasks import exports
from tasks.dumps.export_plan import ExportPlan, Snapshot
from tasks.dumps.extract import batches_of
from tasks.dumps.segment_writer import Part
from tasks.estate.dumps import Anonymizer, DumpFacts, require_choices
from tasks.estate.errors import UnderstudyError
from tasks.runtime import runners

Source = Annotated[
    str,
    typer.Option(
        "--source",
        envvar="UNDERSTUDY_SOURCE_DATABASE",
        show_envvar=True,
        help="postgresql://… of production, with a role that may only read. Better from the environment: options of a "
        "running program can be read by every user of the machine.",
    ),
]
To = Annotated[Path | None, typer.Option("--to", file_okay=False, help="Folder for the dump; made if it is missing.")]
Off = Annotated[list[Anonymizer] | None, typer.Option("--off", help="Switch an anonymizer off. Needs --risk-phrase.")]
RiskPhrase = Annotated[str, typer.Option("--risk-phrase", help="I_UNDERSTAND_THE_PII_RISK, only with --off.")]


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the program."""
    command(app, "dump")(dump)


def dump(
    policy: Policy,
    source: Source = "",
    to: To = None,
    attachments: Annotated[bool, typer.Option(help="Whether the content of attachments travels.")] = True,
    off: Off = None,
    risk_phrase: RiskPhrase = "",
    requested_by: Requester = "",
    plan_only: PlanOnly = False,
) -> Told:
    """Export a database into one anonymized dump: plan, prove, extract masked in one snapshot, bundle, read back.

    Does what the flow `anonymize` does, in this process. UNDERSTUDY_MASKING_KEY must be set.
    """
    document: dict[str, Any] = {"plan": None}
    settings = {"SOURCE_DATABASE": source, "DUMP_FOLDER": str(to.resolve()) if to else ""}
    with local_run(policy, settings) as run_id:
        try:
            chosen = require_choices(
                attachments=attachments, off=[each.value for each in off or []], risk_phrase=risk_phrase
            )
            with exports.snapshot() as held:
                plan = patiently(exports.plan_export.fn, policy.stem, chosen, held, requested_by=requested_by)
                document["plan"] = _planned(plan)
                if plan_only:
                    return ended("Planned", document, _plan_lines(plan))
                patiently(exports.collect_secrets.fn, plan, held)
                parts = _extract(plan, held, run_id)
            facts = patiently(exports.bundle_dump.fn, plan, parts)
        except UnderstudyError as error:
            return refused(error, document)
    return ended("Exported", document, _dump_lines(facts), dump=facts.url, bytes=facts.bytes, rows=facts.trailer.rows)


def _extract(plan: ExportPlan, held: Snapshot, run_id: str) -> tuple[Part, ...]:
    """Run every batch of units in a few threads; the work is done by the server. One that fails ends the export."""
    with ThreadPoolExecutor(max_workers=int(os.environ.get(runners.WORKERS, "2"))) as pool:
        running = {
            pool.submit(patiently, exports.extract_batch.fn, plan.policy, held, batch, run_id): batch
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
        f"The policy fits {plan.header.source_database} on {plan.header.source_host}: {len(rows)} tables travel.",
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
