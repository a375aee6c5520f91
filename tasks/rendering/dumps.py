"""What people read about dumps: the text of a load's approval form, and the reports of exports, loads, previews and drafts."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from tasks.dumps.export_plan import ExportPlan
from tasks.dumps.masking_preview import HIDDEN, Change, ColumnPreview, Preview, TablePreview
from tasks.estate.dumps import Anonymizer, DumpFacts, Header, LeakSearchResult, Loaded, LoadPlan
from tasks.masking.classify import ColumnDraft, Draft, TableDraft
from tasks.masking.draft_yaml import as_yaml
from tasks.rendering.approval import plan_lines
from tasks.rendering.times_and_tables import bullets, code_block, listed, plain, section, table, utc_time

BAR = 12  # characters of the longest bar in a chart of rows; more does not fit on a phone
LISTED = 30  # tables whose rows a form lists; the rest is counted
SHOWN = 200  # characters of a value in a preview
UNKNOWN = "neither the dump nor the policy has them"
PERSONAL = "**Contains personal data**"
PSEUDONYMISED = "pseudonymised (ids are kept: it stays personal data under GDPR Art. 4(5); keep access restricted)"


def kind_of_data(raw: tuple[Anonymizer, ...]) -> str:
    """Return what may be claimed of the data: never "anonymous", because row ids are kept."""
    return f"{PERSONAL}: {', '.join(raw)} not replaced" if raw else PSEUDONYMISED


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def load_text(plan: LoadPlan, *, answer_by: datetime, gate: Sequence[str] = (), zone: str = "") -> str:
    """Return the details of a load, which follow its `opening_lines`: what is lost, what may be refused, and how many rows arrive."""
    lines = [
        f"* Dump `{plain(_file(plan.dump))}` of **{plain(plan.header.source_host)}**",
        f"* The data is {kind_of_data(plan.arrives_raw)}",
        f"* {leak_search_line(plan.unproven, plan.attack)}",
    ]
    if plan.mask_now:
        lines.append(f"* The dump is raw; the load replaces: {', '.join(plan.mask_now)}")
    lines.append(
        f"* **All rows of {len(plan.tables)} tables are replaced, {len(plan.emptied)} more are emptied**, in one transaction"
    )
    if plan.first_load:
        lines.append("* **First load**: the target has no staging marker yet. Make sure that it is staging.")
    lines += listed("Readers of these tables wait until the load ends", plan.readers_wait)
    lines += listed("Staging keeps its own", plan.kept)
    lines += listed("Emptied, because the dump has no rows for them", plan.emptied)
    lines += listed(f"Left untouched, because {UNKNOWN}", plan.untouched)
    lines += missing_lines(plan)
    absent = {each.name for each in plan.missing}
    lines += [f"* Skipped: {plain(name)} ({plain(why)})" for name, why in plan.skipped if name not in absent][:20]
    lines += [
        f"* Runs while rows are written: the trigger {plain(name)} of {plain(table)}" for table, name in plan.firing
    ]
    accepted = {*plan.doubts} - {*plan.open_doubts}
    lines += [
        f"* May still be refused, then nothing is loaded{' (accepted by the policy)' if doubt in accepted else ''}:"
        f" {plain(doubt, 1000)}"
        for doubt in plan.doubts[:40]
    ]
    lines += [f"* … and {len(plan.doubts) - 40} more that may be refused"] if len(plan.doubts) > 40 else []
    lines += [
        *plan_lines(plan, answer_by, gate, zone=zone),
        *section("Rows that arrive", _rows_list([(str(each.name), each.rows) for each in plan.tables])),
    ]
    return "\n".join(lines)


def in_part(plan: LoadPlan) -> dict[str, str]:
    """Return message and next step of a load that lacks what staging has no place for; nothing for any other load."""
    if not plan.lost:
        return {}
    lost = ", ".join(f"{each.name} ({each.rows} rows)" for each in plan.lost)
    statements = "; ".join(each.statement for each in plan.lost[:10])
    return {
        "message": f"The load is committed without what staging lacks: {lost}.",
        "next_step": f"Run on staging: {statements}. Then load again; or list them in the policy's missing_on_staging.",
    }


def missing_lines(plan: LoadPlan) -> list[str]:
    """Return what the dump has and staging lacks, each with the statement that creates it."""
    lines = []
    for each in plan.missing[:50]:
        rows = f"{'its values in ' if each.what == 'column' else ''}{each.rows} rows do not arrive"
        allowed = " (allowed by the policy)" if each.allowed else ""
        lines.append(
            f"* **Staging lacks the {each.what} {plain(each.name)}**: {rows}{allowed}; `{plain(each.statement, 2000)}`"
        )
    lines += [f"* And {len(plan.missing) - 50} more that staging lacks"] if len(plan.missing) > 50 else []
    return lines


def _file(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _most_first(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _rows_list(rows: list[tuple[str, int]]) -> list[str]:
    """Return the rows of each table as a list for a form: a field's help does not draw a table."""
    return bullets((f"{plain(name)}: {count} rows" for name, count in _most_first(rows)), most=LISTED)


def rows_chart(rows: list[tuple[str, int]]) -> list[str]:
    """Return the rows of each table with bars for a report, most rows first."""
    most = max((count for _, count in rows), default=0) or 1
    bars = [
        (plain(name), count, "█" * max(round(BAR * count / most), 1 if count else 0))
        for name, count in _most_first(rows)
    ]
    return list(table(("table", "rows", "size"), bars, right=("rows",)))


def anonymizers_lines(header: Header, ran: tuple[Anonymizer, ...], raw: tuple[Anonymizer, ...]) -> list[str]:
    """Return which anonymizers ran; those that were skipped in bold."""
    lines = [f"* Anonymizers that ran: {', '.join(ran) or 'none'}"]
    lines += [f"* Skipped anonymizers: {', '.join(f'**{kind}**' for kind in raw)}"] if raw else []
    if not header.attachments:
        lines.append("* Attachments: not included; their rows are, their content is empty")
    return lines


def leak_search_line(unproven: str, result: LeakSearchResult | None) -> str:
    """Return whether production's own values were searched for in the dump, and what was accepted."""
    if unproven or result is None:
        return f"**UNPROVEN dump**: nothing shows that it is free of production's values: {plain(unproven, 300)}"
    searched = f"Proven: {result.forms} values of production were searched for in {result.columns} columns of the dump"
    accepted = "; ".join(plain(each, 300) for each in result.accepted)
    return f"{searched}; found, and accepted by the policy: {accepted}" if accepted else f"{searched}; none was found"


def export_text(plan: ExportPlan, facts: DumpFacts) -> str:
    """Return what an export did, table by table and column by column."""
    header = facts.header
    replaced = [
        f"{plain(planned.table.name)}.{plain(each.column.name)}: "
        + ("**raw**" if each.raw else "not read" if each.unread else plain(each.rule.word))
        + (f" ({each.anonymizer})" if each.anonymizer else "")
        for planned in plan.masking.tables
        for each in planned.columns
        if each.rule.maker is not None
    ]
    lines = [
        f"The data is {kind_of_data(header.opted_out)}",
        "",
        f"* Dump: `{plain(facts.url)}`, {_size(facts.bytes)}{', encrypted' if facts.encrypted else ''}",
        f"* Source host: {plain(header.source_host)}, database {plain(header.source_database)}",
        f"* Snapshot of {utc_time(header.exported_at)}",
        f"* {leak_search_line(facts.unproven, facts.trailer.attack)}",
        f"* Key `{header.key}` · policy `{header.policy}` · schema version {header.schema_version}",
        *anonymizers_lines(header, plan.masking.anonymizers, header.opted_out),
        *listed("Dropped tables (no rows travel)", plan.masking.dropped),
        *listed("Excluded tables", plan.masking.excluded),
        *(f"* Left out: {plain(name)} ({plain(why)})" for name, why in plan.masking.left_out),
        *(f"* Note: {plain(note)}" for note in plan.masking.notes),
        *(
            f"* Outside the rows, not in the dump: {plain(s.where)} contains what looks like {plain(s.what)}"
            for s in plan.strays[:20]
        ),
        *section("Rows", rows_chart([(str(each.name), each.rows) for each in facts.trailer.tables])),
        *section("Columns that were replaced", bullets(replaced)),
    ]
    return "\n".join(lines)


def loaded_text(plan: LoadPlan, loaded: Loaded, *, password: str) -> str:
    """Return what a load did: everything that the report of the original workflow lists, and what was verified."""
    header = plan.header
    in_dump = {column.anonymizer for each in header.tables for column in each.columns if column.anonymizer}
    ran = tuple(kind for kind in Anonymizer if kind in in_dump and kind not in plan.arrives_raw)
    lines = [
        f"The data is {kind_of_data(plan.arrives_raw)}",
        "",
        f"* Source host: {plain(header.source_host)}, exported {utc_time(header.exported_at)}",
        f"* Dump: `{plain(_file(plan.dump))}`, SHA-256 `{plan.sha256[:16]}…`",
        *([f"* {leak_search_line(plan.unproven, plan.attack)}"] if plan.unproven else []),
        f"* Committed: {utc_time(loaded.committed_at)} after {loaded.took_seconds:.1f} s",
        *anonymizers_lines(header, ran, plan.arrives_raw),
        *(f"* Skipped: {plain(name)} ({plain(why)})" for name, why in plan.skipped),
        *listed("Missing in the dump, left empty", plan.emptied),
        *listed("Staging kept its own", plan.kept),
        *listed(f"Left untouched, because {UNKNOWN}", plan.untouched),
    ]
    if Anonymizer.PASSWORDS in ran:
        lines.append(f"* Every account of staging logs in with the password `{password}`")
    checks = bullets(f"{what}: {plain(result, 300)}" for what, result in loaded.checks)
    lines += section("Verified before the commit", checks)
    lines += section("Rows", rows_chart(list(loaded.rows)))
    return "\n".join(lines)


def preview_message(preview: Preview) -> str:
    """Return what a reader must know before the report: leaks, and originals that it contains."""
    leaks = f"Values that masking replaces were found in masked rows: {'; '.join(map(str, preview.leaks))}."
    shown = "Originals of production were shown in this report."
    return " ".join([leaks] * bool(preview.leaks) + [shown] * preview.originals)


def after_preview(policy: str, preview: Preview) -> str:
    """Return the next step."""
    if not preview.leaks:
        return f"If it is what staging should contain, start `anonymize` with the policy {policy}."
    return (
        f"Mask the columns in which they were found in the policy {policy}; if a pair is a false alarm, list it under `accept`,"
        " with a reason."
    )


def preview_text(preview: Preview, key: str) -> str:
    """Return what masking would do, before and after. Masks that kept the original come first.

    `key` is the key of the report. A report that shows originals names it, so that a reader can delete exactly this report.
    """
    kept = [
        f"{plain(each.name)}.{plain(column.name)}"
        for each in preview.tables
        for column in each.columns
        if any(change.kept for change in column.changes)
    ]
    lines = [
        f"{PERSONAL}: the originals below are production's. When you have read this report, delete it: "
        f"`prefect artifact delete {key}` deletes this report and no other."
        if preview.originals
        else "Originals are hidden: they were not read. In JSON documents alone, "
        f"{HIDDEN} under “after” marks what stayed as it was.",
        "",
        f"* Policy `{preview.policy}` on database {plain(preview.source.database)} of {plain(preview.source.host)}",
        "* Values made with a rotating key differ from those of the next export; their form does not",
    ]
    lines += [f"* **The original was left in or came out again**: {', '.join(kept)}"] if kept else []
    lines += [
        f"* {'**Leak**' if each in preview.leaks else 'Accepted by the policy'}: {plain(each)}"
        for each in preview.overlaps
    ] or ["* The leak search in a sample of masked rows found no value that masking replaces"]
    lines += listed("Dropped tables (no rows travel)", preview.dropped)
    lines += listed("Excluded tables", preview.excluded)
    lines += [f"* Note: {plain(note)}" for note in preview.notes]
    lines += listed("Kept as they are, every column", [each.name for each in preview.tables if not each.columns])
    for each in preview.tables:
        lines += _table_preview(each) if each.columns else []
    return "\n".join(lines)


def _table_preview(previewed: TablePreview) -> list[str]:
    lines = [line for column in previewed.columns for line in _column_lines(column)]
    kept = ["", f"Kept as it is: {', '.join(map(plain, previewed.kept))}"] if previewed.kept else []
    return [*section(plain(previewed.name), lines), *kept]


def _column_lines(column: ColumnPreview) -> Iterator[str]:
    yield f"* {plain(column.name)} ({plain(column.rule)}){'' if column.changes else ': no rows'}"
    for change in column.changes:
        yield f"    * before: {_before(change, column)}"
        yield f"    * after: {_after(change, column)}"


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
    """Return what a classification found, and the draft as YAML without planted values of the existing policy."""
    lines = [
        f"* {len(draft.tables)} tables, **{len(draft.undecided)} columns undecided**, {len(draft.doubts)} doubts",
        f"* Written to: {plain(written)}" if written else "* No file was written",
    ]
    columns = [(each, column) for each in draft.tables for column in each.columns]
    if compared:
        new = bullets(f"table {plain(f'{t.name} ({t.whole})' if t.whole else t.name)}" for t in draft.tables if t.new)
        lines += section(
            "New since the policy was written", [*new, *_drafted([c for c in columns if c[1].new or c[0].new])]
        )
    else:
        lines.append("* There is no policy of that name yet: all of it is a first draft")
    lines += section("Undecided", _drafted([c for c in columns if c[1].rule is None]))
    if compared:
        lines += section("Doubts: kept, but they look personal", bullets(map(plain, draft.doubts)))
        lines += section("Gone from the database", bullets(map(plain, draft.gone)))
    return "\n".join([*lines, *section("The draft", code_block(_without_canaries(draft), "yaml"))])


def _drafted(columns: Sequence[tuple[TableDraft, ColumnDraft]]) -> list[str]:
    return bullets(
        f"{plain(each.name)}.{plain(column.name)}: "
        + ("**undecided**" if column.rule is None else f"{plain(column.rule)}, {column.confidence:.0%} sure")
        + f" ({plain(column.reason, 300)})"
        for each, column in columns
    )


def _without_canaries(draft: Draft) -> str:
    if not draft.rest.get("canaries"):
        return as_yaml(draft)
    rest = {key: value for key, value in draft.rest.items() if key != "canaries"}
    return as_yaml(draft.model_copy(update={"rest": rest})) + "# canaries: not shown here; keep those of the policy\n"
