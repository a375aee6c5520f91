"""The program `understudy`, also `python -m deployments.cli`. `COMMANDS` in program.py lists the commands with their files."""

import typer

from deployments.cli.program import Program, start

app = typer.Typer(
    cls=Program,
    rich_markup_mode=None,  # as in every group: the same text on a terminal, in a file and in a pipe
    pretty_exceptions_enable=False,
    invoke_without_command=True,  # for `--version`
    no_args_is_help=True,
)
app.callback()(start)


def main() -> None:
    """Run the command that was typed."""
    app(prog_name="understudy")


if __name__ == "__main__":
    main()
