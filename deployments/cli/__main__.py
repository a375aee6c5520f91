"""The program `understudy`, also `python -m deployments.cli`. Each group of commands is a file beside this one."""

from deployments.cli import approve, dump, freezes, hold, leads, ledger, load, plan, settle, standing, waiting
from deployments.cli.output import new_group

app = new_group("Plan, look, answer and keep watch over what overwrites staging and production.")
for commands in (plan, dump, load, waiting, approve, hold, settle, freezes, standing, ledger, leads):
    commands.add_to(app)


def main() -> None:
    """Run the command that was typed."""
    app(prog_name="understudy")


if __name__ == "__main__":
    main()
