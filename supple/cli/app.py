"""The commands under one roof, and the one place that turns an error into a line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from supple import __version__
from supple.cli.convert import convert
from supple.cli.demo import demo
from supple.cli.evaluate import evaluate
from supple.cli.extract import extract
from supple.cli.lm import lm
from supple.cli.parse import parse
from supple.cli.relabel import relabel
from supple.cli.train import train
from supple.errors import InputError

app = App(
    name="supple",
    help="Triples (subject, predicate, object) from Chinese text on an ordinary CPU. Start with: supple demo",
    version=f"supple {__version__}",
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
for command in (extract, demo, evaluate, convert, train, relabel, parse):
    app.command(command)
app.command(lm)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0, 2 for bad input, 130 when interrupted, 1 for anything else.

    Every failure is one line on standard error; SUPPLE_DEBUG=1 shows the traceback of those nobody foresaw.
    """
    _stop_like_ctrl_c("SIGTERM", "SIGHUP")
    try:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # not every terminal has 汉字
        app(arguments)
        sys.stdout.flush()
        return 0
    except InputError as problem:
        return _fail(2, str(problem))
    except CycloptsError as problem:
        return _fail(2, f"{problem} See: {' '.join(['supple', *(problem.command_chain or ()), '--help'])}")
    except KeyboardInterrupt:
        return _fail(130, "interrupted")
    except BrokenPipeError:  # whoever read our output has seen enough
        _give_up_stdout()
        return 0
    except OSError as problem:
        _give_up_stdout()
        return _fail(1, str(problem))
    except Exception as problem:
        if os.environ.get("SUPPLE_DEBUG"):
            raise
        return _fail(1, f"{type(problem).__name__}: {problem} (SUPPLE_DEBUG=1 shows where; please report it)")


def _give_up_stdout() -> None:
    """Keep Python from trying once more, and complaining, when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop_like_ctrl_c(*names: str) -> None:
    for name in names:
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_DFL:  # nohup's SIG_IGN stays
            signal.signal(number, signal.default_int_handler)


def _fail(code: int, line: str) -> int:
    print("supple:", " ".join(line.splitlines()), file=sys.stderr)
    return code
