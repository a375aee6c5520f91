"""The program `understudy`, also `python -m deployments.cli`. Each group of commands is a file beside this one."""

from deployments.cli import (
    answering,
    dump,
    freezing,
    holding,
    ledgers,
    load,
    people,
    planning,
    questions,
    settling,
    signing,
)
from deployments.cli.speaking import new_group

app = new_group("Plan, look, answer and keep watch over what overwrites staging and production.")
for commands in (planning, dump, load, questions, answering, holding, settling, freezing, signing, ledgers, people):
    commands.add_to(app)


def main() -> None:
    """Run the command that was typed."""
    app(prog_name="understudy")


if __name__ == "__main__":
    main()
