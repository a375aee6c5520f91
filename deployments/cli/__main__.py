"""The program `understudy`, also `python -m deployments.cli`. Each command, or group of commands, has a file of its name."""

from deployments.cli import approve, dump, freezes, hold, leads, ledger, load, plan, settle, standing, waiting
from deployments.cli.output import command, new_group

app = new_group("Plan, approve and follow runs that overwrite staging or production, and check what was done.")
for body in (
    dump.dump, load.load, waiting.waiting, waiting.show, approve.approve, approve.reject, approve.arrived, hold.hold,
    settle.settle, freezes.freezes,
):  # fmt: skip
    command(app, body.__name__)(body)
for name, group in {"plan": plan, "standing": standing, "ledger": ledger, "leads": leads}.items():
    app.add_typer(group.group, name=name)


def main() -> None:
    """Run the command that was typed."""
    app(prog_name="understudy")


if __name__ == "__main__":
    main()
