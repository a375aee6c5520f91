"""`python -m deployments.sandbox`: start the sandbox, run the demo, and remove everything at the end."""

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from deployments.sandbox.processes import ProgramFailed, exit_at_signals
from deployments.sandbox.stack import SCALE, Stack, StackBusy


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.sandbox", description=__doc__)
    parser.add_argument(
        "--unattended", action="store_true", help="answer as the demo lead; exit 0 only if all runs succeeded"
    )
    parser.add_argument("--state", type=Path, help="folder for all data but the databases (default: temporary)")
    parser.add_argument("--keep", action="store_true", help="with --unattended: keep running at the end, until Ctrl-C")
    parser.add_argument("--scale", type=float, default=SCALE, help="real seconds for each second of the host (1/60)")
    return parser.parse_args()


def main() -> int:
    """Return the exit code: 0 if every run succeeded, 1 if not, 128 + n after signal n."""
    options = _arguments()
    exit_at_signals(128)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # progress lines, also through a pipe
    os.environ["DO_NOT_TRACK"] = "1"  # before Prefect is imported, which is why these imports are here
    from deployments.sandbox.demo import perform
    from deployments.sandbox.run_progress import Narrator

    narrator = Narrator()
    narrator.heading("Understudy on the sandbox. Ctrl-C stops everything and removes all files.")
    try:
        with Stack(options.state, options.scale, say=narrator.say) as stack:
            good = perform(stack, narrator, unattended=options.unattended)
            if options.keep or not options.unattended:
                with contextlib.suppress(SystemExit):  # requested, so that the exit code is that of the runs
                    narrator.say(
                        f"Everything stays up until you press Ctrl-C: {stack.desk_url} and, in Prefect, {stack.ui_url}"
                    )
                    signal.pause()
    except (ProgramFailed, StackBusy) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
