"""One call of a command: from words to outcomes to an exit code.

`carry_out` is where errors end: here, and nowhere else in the command line, they become text.
"""

from __future__ import annotations

import gc
import os
import sys
from argparse import Action, Namespace
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, watch
from ..core.progress import Progress, Silence
from ..core.system_errors import foreseen
from ..settings import Settings, read_settings, terminal_width
from .errors import (
    EXIT_STOPPED,
    as_json,
    bug,
    four_lines,
    print_traceback,
    unknown_command,
)
from .paint import Paint
from .render import DataView, JsonView, TableView, Tell, View
from .streams import abandon_output, is_terminal, prepare_streams
from .text import duration, number, quote, size

if TYPE_CHECKING:
    from ..api.datasets import Dataset
    from .progress import Teller

PAGE_WIDTH_MAX = 100


class Call:
    """What a command's `run` is given: its options, the data set, progress, and `finish`."""

    def __init__(self, command: str, options: Namespace, settings: Settings) -> None:
        self.command = command
        self.options = options
        self.settings = settings
        self.paint = Paint(on=settings.color)

    @property
    def verbosity(self) -> int:
        """-1 quiet, 0 usual, 1 and more for each -v."""
        return -1 if self.options.quiet else int(self.options.verbose)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set the call works in, opened: -d, or the one around the current folder.

        ``^`` names the topmost of those around it, ``^.`` the innermost.

        Raises:
            NotFoundError: There is none.
        """

        from ..api.datasets import open_dataset

        where = self.options.dataset or self.settings.dataset or "."
        if where in ("^", "^."):
            from ..api.nesting import dataset_named

            where = dataset_named(where)
        return open_dataset(where, self.settings.values)

    @cached_property
    def paths(self) -> tuple[bytes, ...]:
        """The PATH words, relative to the top of the data set; empty for the whole of it.

        Raises:
            UsageError: A path is not in the data set.
        """
        found = self.dataset.relative(self.options.paths)
        return () if b"" in found else tuple(found)

    @property
    def reason(self) -> str | None:
        """Why --force may go without proof, in somebody's words; None without --force.

        Raises:
            UsageError: It says nothing, or it is a file that was meant to be a PATH.
        """
        reason: str | None = self.options.force
        if reason is None or (reason.strip() and not os.path.lexists(reason)):
            return reason
        empty = not reason.strip()
        error = faults.BAD_USAGE(
            what="--force says no reason" if empty else f"--force {quote(reason)} names a file",
            command=self.command,
        )
        error.why = "it takes a REASON, in words, which is kept with who forced it"
        paths = "PATH" if empty else quote(reason)
        error.hint = f'hold {self.command} --force "why it may go" {paths}'
        raise error

    def close(self) -> None:
        """Let go of the data set, if it was opened."""
        if "dataset" in self.__dict__:
            self.dataset.close()

    @cached_property
    def progress(self) -> Progress:
        """Who is told how far a verb is."""
        return self._teller or Silence()

    @cached_property
    def _teller(self) -> Teller | None:
        if self.options.quiet or not (self.settings.progress or self.options.verbose):
            return None
        from .progress import LiveProgress, PlainProgress

        if self.settings.progress:
            return LiveProgress(self.command, sys.stderr, monotonic, self.settings.width)
        return PlainProgress(self.command, sys.stderr, monotonic)

    @cached_property
    def show_path(self) -> Callable[[str], str]:
        """Turns a path in the data set into one from the current folder, as it can be typed."""
        if "dataset" not in self.__dict__:
            return lambda path: path
        top = os.fsdecode(os.path.realpath(self.dataset.top))
        here = os.path.realpath(os.getcwd())
        if here == top:
            return lambda path: path
        return lambda path: os.path.relpath(os.path.join(top, path), here)

    def finish(
        self,
        outcomes: Iterable[Outcome],
        tell: Tell | None = None,
        *,
        end: str = "\n",
        empty: str = "",
        view: View | None = None,
        report: Report | None = None,
    ) -> int:
        """Carry a verb through, show what it does, and give the exit code.

        With ``tell`` the outcomes are data that somebody asked for: it writes each, and no
        summary follows. ``empty`` is what to say when there was nothing to tell. A command that
        shows its outcomes in a way of its own brings its ``view``; one that may have very many
        failures brings a ``report`` that does not keep them all.
        """
        report = Report() if report is None else report
        began = monotonic()
        stopped = False
        view = view or self._view(tell, end, "" if self.options.quiet else empty)
        try:
            for outcome in watch(outcomes, report):
                view.show(outcome)
        except KeyboardInterrupt:
            stopped = True
            self.progress.stop()
            return self._stopped(report, monotonic() - began)
        finally:
            self.progress.stop()
            # When the verb could not even begin, its error says all there is to say.
            if report.counts or not (stopped or sys.exc_info()[0]):
                view.close(report, monotonic() - began)
        return report.exit_code

    def _view(self, tell: Tell | None, end: str, empty: str) -> View:
        if self.options.json:
            return JsonView()
        if tell is not None:
            return DataView(tell, self.paint, before_write=self._make_room, end=end, empty=empty)
        return TableView(
            self.command,
            self.paint,
            now=monotonic,
            display=lambda path: quote(self.show_path(path)),
            before_write=self._make_room,
            verbosity=self.verbosity,
        )

    def _make_room(self) -> None:
        if self._teller is not None:
            self._teller.clear()

    def _stopped(self, report: Report, seconds: float) -> int:
        if self.options.json:
            sys.stdout.write(as_json(self.command, faults.STOPPED(), exit_code=EXIT_STOPPED))
        else:
            done = number(sum(report.counts.values()) - len(report.failures))
            kept = f", {size(report.size)}" if report.size else ""
            sys.stderr.write(
                f"Stopped. {done} items done{kept} in {duration(seconds)}; what was done is kept. "
                "Run the same command to go on.\n"
            )
        return EXIT_STOPPED


def carry_out(module: str | None, command: str, words: Sequence[str]) -> int:
    """Run one command and give its exit code; whatever goes wrong is told here."""
    prepare_streams()
    _stop_on_terminate()
    # Verbs make millions of small values that hold no cycles; looking for some costs a tenth.
    gc.set_threshold(200_000, 20, 20)
    try:
        code = _run(module, command, words)
        sys.stdout.flush()
        gc.freeze()  # Python's end looks for no cycles in what goes with it
    except Exception as error:
        return _fail(command, words, error)
    except KeyboardInterrupt:
        return _tell(command, words, faults.STOPPED(), EXIT_STOPPED)
    return code


def _run(module: str | None, command: str, words: Sequence[str]) -> int:
    if module is None:
        raise _no_command(command, words)
    from .pages import load, page
    from .parser import make_parser, own_actions

    found: Any = load(module)
    if _asked(words, "--version"):
        from ..version import __version__

        sys.stdout.write(f"hold {__version__}\n")
        return 0
    if _asked(words, "-h", "--help"):
        settings = read_settings(os.environ, width=terminal_width(1))
        sys.stdout.write(page(command, found, min(settings.width, PAGE_WIDTH_MAX)))
        return 0
    parser = make_parser(command, found)
    options = parser.read(words)
    _refuse_empty(command, options, own_actions(parser)[0])
    if options.folder:
        _enter(options.folder)
    settings = read_settings(
        os.environ,
        options.assignments,
        out_is_terminal=is_terminal(1),
        err_is_terminal=is_terminal(2),
        width=terminal_width(),
    )
    call = Call(command, options, settings)
    try:
        return int(found.run(call))
    finally:
        call.close()


def _asked(words: Sequence[str], *names: str) -> bool:
    """Whether the version or help is asked for: then required arguments may be missing."""
    cut = words.index("--") if "--" in words else len(words)
    return any(name in words[:cut] for name in names)


def _refuse_empty(command: str, options: Namespace, arguments: Iterable[Action]) -> None:
    """Refuse an empty word, such as a variable that is not set: it is not the whole data set."""
    for argument in arguments:
        found = getattr(options, argument.dest)
        if found == "" or (isinstance(found, list) and "" in found):
            error = faults.BAD_USAGE(what=f"an empty {argument.metavar}", command=command)
            error.why = "an empty word names nothing; . is the current folder and all below it"
            raise error
    if options.dataset == "":
        raise faults.BAD_USAGE(what="-d: an empty word names no data set", command="help")


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        reason = error.strerror or "it cannot be entered"
        raise faults.BAD_USAGE(what=f"-C {quote(folder)}: {reason}", command="help") from None


def _no_command(command: str, words: Sequence[str]) -> HoldError:
    from .table import COMMANDS, ELSEWHERE

    if not command:
        error = faults.BAD_USAGE(what=f"no command in: hold {' '.join(words)}", command="")
        error.hint = "hold --help    (lists the commands)"
        return error
    return unknown_command(command, [name for name, _, _, _ in COMMANDS], dict(ELSEWHERE))


def _fail(command: str, words: Sequence[str], error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        # Nobody reads on: that is how `hold log | head` ends, and no failure to speak of.
        abandon_output()
        return EXIT_STOPPED
    known = error if isinstance(error, HoldError) else None
    if isinstance(error, OSError):
        known = foreseen(error)
    if known is None or _asked(words, "--debug") or _settings_for_talk().debug:
        print_traceback(error)
    known = known or bug(error)
    return _tell(command, words, known, known.exit_code)


def _tell(command: str, words: Sequence[str], error: HoldError, code: int) -> int:
    try:
        if _asked(words, "--json"):
            sys.stdout.write(as_json(command, error, exit_code=code))
        elif code == EXIT_STOPPED:
            sys.stderr.write("Stopped. What was done is kept. Run the same command to go on.\n")
        else:
            sys.stderr.write(four_lines(error, Paint(on=_settings_for_talk().color)))
        sys.stdout.flush()
    except OSError:
        abandon_output()
    return code


def _settings_for_talk() -> Settings:
    """Settings to tell of an error with, which may be one of the settings themselves."""
    try:
        return read_settings(
            os.environ, out_is_terminal=is_terminal(1), err_is_terminal=is_terminal(2)
        )
    except HoldError:
        return Settings()


def _stop_on_terminate() -> None:
    """A polite request to end (a batch system's, say) stops us as Ctrl-C does: what is done stays.

    Only in the main thread can a signal be taken; a caller's own handler is left alone.
    """
    import signal

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, stop)
    except ValueError:
        return
