"""The program `drivewm`: each command is a few lines that call a function which knows no command line.

Nothing heavy is imported before a command runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import os
import sys
import warnings

import typer

from drivewm import __version__
from drivewm.cli import bench, compare, data, drive, gate, house, leaderboard, onboard, scenario, starts, steer, train, unsure
from drivewm.cli.console import complain, sentence

app = typer.Typer(
    name="drivewm",
    help="Dream up rare driving situations, score a policy in them, distil it into a file for the vehicle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
house.add_to(app)
app.add_typer(scenario.app, name="scenario")
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")
app.add_typer(bench.app, name="bench")
drive.add_to(app)
compare.add_to(app)
starts.add_to(app)
steer.add_to(app)
unsure.add_to(app)
gate.add_to(app)
onboard.add_to(app)
leaderboard.add_to(app)


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    attention: str | None = typer.Option(
        None, help="Kernels that attention runs on: native, flash, xformers ... (see `drivewm doctor`), also $DRIVEWM_ATTENTION."
    ),
) -> None:
    if attention is not None:
        from drivewm.worldmodel.backends import use_for_all

        use_for_all(attention)


def main(arguments: list[str] | None = None) -> None:
    """Run the program and leave with its exit code: 0 done, 1 found wanting or broken, 2 bad input, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """The exit code of one command; bad input is one sentence on standard error."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries say to each other's developers
    try:
        code = app(arguments, standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # everything a user can cause is told in one sentence, the rest is a bug with its traceback
        told = sentence(error)
        if told is None:
            raise
        complain(told)
        return 2
    if code == 130:
        complain("interrupted")
    return code if isinstance(code, int) else 0
