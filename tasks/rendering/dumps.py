"""What people read about dumps: the question before a load, and the reports, as Markdown that nothing from outside can mark up."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from tasks.dumps.export_plan import ExportPlan
from tasks.dumps.masking_preview import HIDDEN, Change, ColumnPreview, Preview, TablePreview
from tasks.estate.dumps import RISK_PHRASE, Anonymizer, AttackResult, DumpFacts, Header, Loaded, LoadPlan
from tasks.masking.classify import ColumnDraft, Draft, TableDraft
from tasks.masking.draft_yaml import as_yaml
from tasks.rendering.markdown import plain

BAR = 24  # characters of the longest bar in a chart of rows
SHOWN = 200  # characters of a value in a preview
UNKNOWN = "neither the dump nor the policy has them"
PERSONAL = "**Contains personal data**"
PSEUDONYMISED = "pseudonymised (ids are kept: it stays personal data under GDPR Art. 4(5); keep access restricted)"


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def kind_of_data(raw: tuple[Anonymizer, ...]) -> str:
    """What may be claimed of the data: never "anonymous", since row ids are kept."""
    return f"{PERSONAL}: {', '.join(raw)} not replaced" if raw else PSEUDONYMISED


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def load_text(plan: LoadPlan, *, answer_by: datetime, gate: Sequence[str] = ()) -> str:
    """The Markdown above the form of a load: what is replaced by what, and what that costs."""
    header = plan.header
    lines = [
        f"## Replace the data of **{plain(plan.hostname)}**, database **{plain(plan.target.database)}**",
        "",
        f"with the dump `{plain(_file(plan.dump))}` of **{plain(header.source_host)}**, taken {_when(header.exported_at)}.",
        "",
        f"* The data is {kind_of_data(plan.arrives_raw)}",
    ]
    lines.append(f"* {attack_line(plan.unproven, plan.attack)}")
    if plan.mask_now:
        lines.append(f"* The dump is raw; replaced on the way in: {', '.join(plan.mask_now)}")
    lines.append(
        f"* **All rows of {len(plan.tables)} tables are replaced, {len(plan.emptied)} more are emptied**, in one transaction"
    )
    if plan.first_load:
        lines.append("* **First load**: the target carries no staging marker yet. Make sure that it is staging.")
    if plan.readers_wait:
        lines.append(f"* Readers of these tables wait for the end: {_names(plan.readers_wait)}")
    lines += [f"* Staging keeps its own: {_names(plan.kept)}"] if plan.kept else []
    lines += [f"* Emptied, because the dump has no rows for them: {_names(plan.emptied)}"] if plan.emptied else []
    lines += [f"* Left untouched, because {UNKNOWN}: {_names(plan.untouched)}"] if plan.untouched else []
    lines += missing_lines(plan)
    absent = {each.name for each in plan.missing}
    lines += [f"* Skipped: {plain(name)} ({plain(why)})" for name, why in plan.skipped if name not in absent][:20]
    lines += [
        f"* Runs while rows are written: the trigger {plain(name)} of {plain(str(table))}"
        for table, name in plan.firing
    ]
    accepted = {*plan.doubts} - {*plan.open_doubts}
    lines += [
        f"* May still be refused, then nothing is loaded{' (accepted by the policy)' if doubt in accepted else ''}:"
        f" {plain(str(doubt), 1000)}"
        for doubt in plan.doubts[:40]
    ]
    lines += [f"* … and {len(plan.doubts) - 40} more that may be refused"] if len(plan.doubts) > 40 else []
    lines += [
        f"* Requested by: {plain(plan.requested_by) or 'not said'} · plan **{plan.code}**",
        f"* Answer by: **{_when(answer_by)}**; silence means no",
        *gate,
        *(f"* Stands against it: **{plain(mark)}**" for mark in plan.overrides),
        "",
        *rows_chart([(str(order.name), order.rows) for order in plan.tables]),
    ]
    return "\n".join(lines)


def in_part(plan: LoadPlan) -> dict[str, str]:
    """Return message and next step of a load that went on without what staging lacks; nothing for any other load."""
    if not plan.lost:
        return {}
    lost = ", ".join(f"{each.name} ({each.rows} rows)" for each in plan.lost)
    statements = "; ".join(each.statement for each in plan.lost[:10])
    return {
        "message": f"The load is committed without what staging lacks: {lost}.",
        "next_step": f"Run on staging: {statements}. Then load again; or list them in the policy's missing_on_staging.",
    }


def missing_lines(plan: LoadPlan) -> list[str]:
    """What the dump has and staging lacks, each with the statement that makes it."""
    lines = []
    for each in plan.missing[:50]:
        rows = (
            f"{each.rows} rows do not arrive"
            if each.what != "column"
            else f"its values in {each.rows} rows do not arrive"
        )
        allowed = " (allowed by the policy)" if each.allowed else ""
        lines.append(
            f"* **Staging lacks the {each.what} {plain(each.name)}**: {rows}{allowed}; `{plain(each.statement, 2000)}`"
        )
    lines += [f"* And {len(plan.missing) - 50} more that staging lacks"] if len(plan.missing) > 50 else []
    return lines


def _file(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(map(plain, names[:30])) + (f" and {len(names) - 30} more" if len(names) > 30 else "")


def rows_chart(rows: list[tuple[str, int]]) -> list[str]:
    """Rows per table as a Markdown table with bars."""
    most = max((count for _, count in rows), default=0) or 1
    lines = ["| table | rows | |", "|---|---:|---|"]
    for name, count in sorted(rows, key=lambda row: (-row[1], row[0])):
        lines.append(f"| {plain(name)} | {count} | {'█' * max(round(BAR * count / most), 1 if count else 0)} |")
    return lines


def anonymizers_line(header: Header, ran: tuple[Anonymizer, ...], raw: tuple[Anonymizer, ...]) -> list[str]:
    """Which anonymizers ran; those that were skipped in bold."""
    lines = [f"* Anonymizers that ran: {', '.join(ran) or 'none'}"]
    lines += [f"* Skipped anonymizers: {', '.join(f'**{kind}**' for kind in raw)}"] if raw else []
    if not header.attachments:
        lines.append("* Attachments: not included; their rows are, their content is empty")
    return lines


def attack_line(unproven: str, result: AttackResult | None) -> str:
    """Return whether production's own values were searched for in the dump, and what was accepted."""
    if unproven or result is None:
        return f"**UNPROVEN dump**: nothing shows that it is free of production's values: {plain(unproven, 300)}"
    line = f"Proven: {result.forms} values of production were searched for in {result.columns} columns of the dump, none was found"
    accepted = "; ".join(plain(str(each), 300) for each in result.accepted)
    return f"{line} but what the policy accepts: {accepted}" if accepted else line


def export_text(plan: ExportPlan, facts: DumpFacts) -> str:
    """What an export did, table by table and column by column."""
    header = facts.header
    lines = [
        f"The data is {kind_of_data(header.opted_out)}",
        "",
        f"* Dump: `{plain(facts.url)}`, {size(facts.bytes)}{', encrypted' if facts.encrypted else ''}",
        f"* Source host: {plain(header.source_host)}, database {plain(header.source_database)}",
        f"* Snapshot of {_when(header.exported_at)}",
        f"* {attack_line(facts.unproven, facts.trailer.attack)}",
        f"* Key `{header.key}` · policy `{header.policy}` · schema version {header.schema_version}",
        *anonymizers_line(header, plan.masking.anonymizers, header.opted_out),
        *([f"* Dropped tables (no rows travel): {_names(plan.masking.dropped)}"] if plan.masking.dropped else []),
        *([f"* Excluded tables: {_names(plan.masking.excluded)}"] if plan.masking.excluded else []),
        *(f"* Left out: {plain(name)} ({plain(why)})" for name, why in plan.masking.left_out),
        *(f"* Note: {plain(note)}" for note in plan.masking.notes),
        *(
            f"* Outside the rows, not in the dump: {plain(s.where)} holds what looks like {plain(s.what)}"
            for s in plan.strays[:20]
        ),
        "",
        "## Rows",
        "",
        *rows_chart([(str(table.name), table.rows) for table in facts.trailer.tables]),
        "",
        "## Columns that were replaced",
        "",
        "| column | rule | anonymizer |",
        "|---|---|---|",
    ]
    for table in plan.masking.tables:
        for each in table.columns:
            if each.rule.maker is not None:
                state = "**raw**" if each.raw else "not read" if each.unread else plain(each.rule.word)
                lines.append(
                    f"| {plain(table.table.name)}.{plain(each.column.name)} | {state} | {each.anonymizer or ''} |"
                )
    return "\n".join(lines)


def loaded_text(plan: LoadPlan, loaded: Loaded, *, password: str) -> str:
    """What a load did: everything that the original workflow's report lists, and what was verified."""
    header = plan.header
    in_dump = {column.anonymizer for table in header.tables for column in table.columns if column.anonymizer}
    ran = tuple(kind for kind in Anonymizer if kind in in_dump and kind not in plan.arrives_raw)
    lines = [
        f"The data is {kind_of_data(plan.arrives_raw)}",
        "",
        f"* Source host: {plain(header.source_host)}, exported {_when(header.exported_at)}",
        f"* Dump: `{plain(_file(plan.dump))}`, SHA-256 `{plan.sha256[:16]}…`",
        *([f"* {attack_line(plan.unproven, plan.attack)}"] if plan.unproven else []),
        f"* Committed: {_when(loaded.committed_at)} after {loaded.took_seconds:.1f} s",
        *anonymizers_line(header, ran, plan.arrives_raw),
        *(f"* Skipped: {plain(name)} ({plain(why)})" for name, why in plan.skipped),
        *([f"* Missing in the dump, left empty: {_names(plan.emptied)}"] if plan.emptied else []),
        *([f"* Staging kept its own: {_names(plan.kept)}"] if plan.kept else []),
        *([f"* Left untouched, because {UNKNOWN}: {_names(plan.untouched)}"] if plan.untouched else []),
    ]
    if Anonymizer.PASSWORDS in ran:
        lines.append(f"* Every account of staging logs in with the password `{password}`")
    lines += ["", "## Verified before the commit", "", "| check | result |", "|---|---|"]
    lines += [f"| {what} | {plain(result, 300)} |" for what, result in loaded.checks]
    lines += ["", "## Rows", "", *rows_chart(list(loaded.rows))]
    return "\n".join(lines)


RISK_LABEL = f"Only if an anonymizer is off: type {RISK_PHRASE}"


def preview_message(preview: Preview) -> str:
    """Return what is to be known before the report is read: leaks, and originals that are in it."""
    leaks = f"Values that masking replaces were found in masked rows: {'; '.join(map(str, preview.leaks))}."
    shown = "Originals of production were shown in this report."
    return " ".join([leaks] * bool(preview.leaks) + [shown] * preview.originals)


def after_preview(policy: str, preview: Preview) -> str:
    """Return the next step."""
    if not preview.leaks:
        return f"If it is what staging should hold, start `anonymize` with the policy {policy}."
    return (
        f"Mask the columns in which they were found in the policy {policy}; if a pair is a false alarm, list it under `accept`,"
        " with a reason."
    )


def preview_text(preview: Preview) -> str:
    """What masking would do, side by side. A mask that left the original in stands out, and is counted first."""
    left = [
        f"{plain(table.name)}.{plain(column.name)}"
        for table in preview.tables
        for column in table.columns
        if any(change.kept for change in column.changes)
    ]
    lines = [
        f"{PERSONAL}: the originals below are production's. Delete this report when it has been read."
        if preview.originals
        else f"Originals are hidden: they were not read, but for JSON documents, where {HIDDEN} under “after” stayed as it was.",
        "",
        f"* Policy `{preview.policy}` on database {plain(preview.source.database)} of {plain(preview.source.host)}",
        "* Values made with a rotating key differ from those of the next export; their form does not",
    ]
    lines += [f"* **The original was left in or came out again**: {', '.join(left)}"] if left else []
    lines += [
        f"* {'**Leak**' if each in preview.leaks else 'Accepted by the policy'}: {plain(str(each))}"
        for each in preview.overlaps
    ] or ["* The attack on a sample of masked rows found no value that masking replaces"]
    lines += [f"* Dropped tables (no rows travel): {_names(preview.dropped)}"] if preview.dropped else []
    lines += [f"* Excluded tables: {_names(preview.excluded)}"] if preview.excluded else []
    lines += [f"* Note: {plain(note)}" for note in preview.notes]
    untouched = tuple(table.name for table in preview.tables if not table.columns)
    lines += [f"* Kept as they are, every column: {_names(untouched)}"] if untouched else []
    for table in preview.tables:
        lines += _table_preview(table) if table.columns else []
    return "\n".join(lines)


def _table_preview(table: TablePreview) -> Iterator[str]:
    yield from ("", f"## {plain(table.name)}", "", "| column | rule | before | after |", "|---|---|---|---|")
    for column in table.columns:
        head = f"| {plain(column.name)} | {plain(column.rule)} |"
        if not column.changes:
            yield f"{head} no rows | |"
        for number, change in enumerate(column.changes):
            yield f"{'| | |' if number else head} {_before(change, column)} | {_after(change, column)} |"
    if table.kept:
        yield from ("", f"Kept as it is: {', '.join(map(plain, table.kept))}")


def _before(change: Change, column: ColumnPreview) -> str:
    if change.size is None:
        return "NULL"
    if change.size == 0:
        return "empty"
    if column.binary:
        return f"{HIDDEN} {change.size} bytes"
    return f"{HIDDEN} {change.size} characters" if change.original is None else plain(change.original, SHOWN)


def _after(change: Change, column: ColumnPreview) -> str:
    warned = "**the original or a planted value is still in it** " if change.kept else ""
    if change.made is None:
        return warned or "NULL"
    if column.binary:
        return f"{warned}{change.made} bytes"
    return warned + (plain(change.made, SHOWN) or "empty")


def draft_text(draft: Draft, *, compared: bool, written: str) -> str:
    """What a classification found, and the whole draft as YAML. A planted value of the existing policy is not shown."""
    lines = [
        f"* {len(draft.tables)} tables, **{len(draft.undecided)} columns undecided**, {len(draft.doubts)} doubts",
        f"* Written to: {plain(written)}" if written else "* No file was written",
    ]
    if not compared:
        lines.append("* There is no policy of that name yet: all of it is a first draft")
    columns = [(table, column) for table in draft.tables for column in table.columns]
    if compared:
        new = [f"* table {plain(name)}" for name in _new(draft)]
        found = [(table, column) for table, column in columns if column.new or table.new]
        lines += [
            "",
            "## New since the policy was written",
            "",
            *new,
            *(_column_rows(found) if found or not new else ()),
        ]
    lines += ["", "## Undecided", "", *_column_rows([(t, column) for t, column in columns if column.rule is None])]
    if compared:
        lines += ["", "## Doubts: kept, but they look personal", "", *_listed(list(map(plain, draft.doubts)))]
        lines += ["", "## Gone from the database", "", *_listed(list(map(plain, draft.gone)))]
    return "\n".join([*lines, "", "## The draft", "", *_fenced(_without_canaries(draft))])


def _new(draft: Draft) -> list[str]:
    return [f"{table.name} ({table.whole})" if table.whole else str(table.name) for table in draft.tables if table.new]


def _column_rows(columns: Sequence[tuple[TableDraft, ColumnDraft]]) -> Iterator[str]:
    if not columns:
        yield "None."
        return
    yield from ("", "| column | drafted | why | sure |", "|---|---|---|---:|")
    for table, column in columns:
        rule = "**undecided**" if column.rule is None else plain(column.rule)
        sure = "" if column.rule is None else f"{column.confidence:.0%}"
        yield f"| {plain(table.name)}.{plain(column.name)} | {rule} | {plain(column.reason, 300)} | {sure} |"


def _listed(items: Sequence[str]) -> list[str]:
    return [f"* {item}" for item in items] or ["None."]


def _without_canaries(draft: Draft) -> str:
    planted = draft.rest.get("canaries")
    if not planted:
        return as_yaml(draft)
    rest = {key: value for key, value in draft.rest.items() if key != "canaries"}
    return as_yaml(draft.model_copy(update={"rest": rest})) + "# canaries: not shown here; keep those of the policy\n"


def _fenced(text: str) -> list[str]:
    """A block of code that no run of backticks in a name can end."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [f"{fence}yaml", text.rstrip("\n"), fence]
