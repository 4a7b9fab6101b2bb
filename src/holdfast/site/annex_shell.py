"""``hold-annex-shell``: the words of git-annex-shell that git-annex's clients use, served by us.

To be called over ssh (``remote.NAME.annex-shell=hold-annex-shell``), or as a forced command or
login shell. git's own words are passed to git. What a client may do is set by the variables that
git-annex-shell heeds: GIT_ANNEX_SHELL_READONLY, _APPENDONLY, _LIMITED and _DIRECTORY.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..core import faults
from ..core.errors import ConflictError, HoldError, NotFoundError, UsageError
from ..core.key import Key
from ..core.place import PlaceId

_GIT = ("git-upload-pack", "git-receive-pack", "git-upload-archive")
_NAMES = ("hold-annex-shell", "git-annex-shell")
_SET = "GIT_ANNEX_SHELL_"
_OR_USUAL = "or-git-annex-shell"
"""Said by our own clients: where we cannot serve a repository safely, git-annex-shell shall."""


def run() -> int:
    """The console script."""
    return run_words(sys.argv[1:], os.environ)


def run_words(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Carry out one call and give its exit code; errors are told on one line, for ssh to show."""
    try:
        return main(words, environ)
    except HoldError as error:
        why = f" ({error.why})" if error.why else ""
        sys.stderr.write(f"hold-annex-shell: {error.what}{why}\n")
        return error.exit_code
    except (BrokenPipeError, KeyboardInterrupt):
        return 1


def main(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Carry out one call, given by the words after our name.

    Raises:
        UsageError: The words mean nothing here, or are not allowed.
    """
    words = wanted(words, environ.get("SSH_ORIGINAL_COMMAND"))
    command, arguments, options = parse(words)
    if command in _GIT:
        return _git(command, arguments, environ)
    action = _ACTIONS.get(command)
    if action is None or not arguments:
        raise _unknown(command)
    return action(_checked_path(arguments[0], environ), arguments[1:], options, environ)


def wanted(words: Sequence[str], original: str | None) -> list[str]:
    """What is asked for: our words, those after ``-c``, or, without any, what ssh was asked for."""
    if not words and original is not None:
        words = ["-c", original]
    if len(words) == 2 and words[0] == "-c":
        words = shlex.split(words[1])
        if words[:1] and os.path.basename(words[0]) in _NAMES:
            words = words[1:]
        # "git upload-pack" is the same as "git-upload-pack".
        if words[:1] == ["git"]:
            words = [f"git-{words[1]}", *words[2:]] if len(words) > 1 else []
    return list(words)


def parse(words: Sequence[str]) -> tuple[str, list[str], dict[str, str]]:
    """Part words into the command, its arguments and options; fields after ``--`` as options."""
    plain: list[str] = []
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            options.update(_field(field) for field in rest)
        elif word == "--uuid":
            options["uuid"] = next(rest, "")
        elif word.startswith("--"):
            options.update([_field(word[2:])])
        else:
            plain.append(word)
    return (plain[0] if plain else ""), plain[1:], options


def _field(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _checked_path(path: str, environ: Mapping[str, str]) -> bytes:
    """The folder a client means; relative ones begin at home, where ssh starts us.

    Raises:
        UsageError: It is outside of what the client may see.
    """
    if path.startswith("/~"):
        path = path[1:]
    full = os.path.abspath(os.path.expanduser(path))
    only = environ.get(f"{_SET}DIRECTORY")
    if only and os.path.realpath(full) != os.path.realpath(os.path.expanduser(only)):
        raise faults.BAD_USAGE(what=f"Only allowed to access {only} not {full}", command="serve")
    return os.fsencode(full)


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    """As git-annex-shell has it: to anything but nothing."""
    return bool(environ.get(f"{_SET}{name}"))


def _git(command: str, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Let git serve itself.

    Raises:
        UsageError: The client may not.
    """
    for name in ("LIMITED", "READONLY"):
        if _is_set(environ, name) and (name == "LIMITED" or command == "git-receive-pack"):
            raise UsageError(f"Action blocked by {_SET}{name}")
    if len(arguments) != 1:
        raise _unknown(command)
    path = _checked_path(arguments[0], environ)
    os.execvp("git", ["git", command.removeprefix("git-"), os.fsdecode(path)])


# what is not git's


def _configlist(
    path: bytes, _: Sequence[str], options: Mapping[str, str], environ: Mapping[str, str]
) -> int:
    """Tell the UUID; a clone of a data set that has none yet gets one, where that is allowed."""
    from ..api.datasets import open_dataset
    from ..dataset.repository import Repository

    uuid = Repository(path).uuid
    if uuid is None and not _is_set(environ, "READONLY"):
        try:
            with open_dataset(path) as dataset:
                uuid = dataset.here
        except NotFoundError:
            uuid = None
    sys.stdout.write(f"annex.uuid={uuid or ''}\ncore.gcrypt-id=\n")
    return 0


def _inannex(
    path: bytes, keys: Sequence[str], options: Mapping[str, str], _: Mapping[str, str]
) -> int:
    """Say by the exit code whether all keys are here; 100 means that it is not known."""
    from ..api.served import Served

    with _open(path, options) as dataset:
        served = Served(dataset)
        found = [Key.parse(os.fsencode(key)) for key in keys]
        return 0 if all(map(served.has, found)) else 1


def _p2pstdio(
    path: bytes, words: Sequence[str], options: Mapping[str, str], environ: Mapping[str, str]
) -> int:
    """Speak the P2P protocol until the client hangs up."""
    from ..api.served import Served
    from .stdio import Conversation

    try:
        dataset = _open(path, options)
        served = Served(dataset)
        if _OR_USUAL in options:
            served.check_servable()
    except (ConflictError, NotFoundError):
        if _OR_USUAL not in options or shutil.which(_NAMES[1]) is None:
            raise
        _hand_over(path, words, options)
    try:
        client = PlaceId(words[0] if words else "")
        Conversation(served, rights_of(environ), client, (0, 1)).run()
    finally:
        served.close()
    return 0


def _hand_over(path: bytes, words: Sequence[str], options: Mapping[str, str]) -> NoReturn:
    """Let git-annex-shell serve instead; it heeds the variables that say what a client may do."""
    uuid = options.get("uuid")
    expected = ["--uuid", uuid] if uuid else []
    os.execvp(_NAMES[1], [_NAMES[1], "p2pstdio", os.fsdecode(path), *words, *expected])


_ACTIONS = {"configlist": _configlist, "inannex": _inannex, "p2pstdio": _p2pstdio}


def rights_of(environ: Mapping[str, str]) -> Rights:
    """What a client may do, as the variables say."""
    from ..api.served import Rights

    if _is_set(environ, "READONLY"):
        return Rights.READ
    return Rights.APPEND if _is_set(environ, "APPENDONLY") else Rights.WRITE


def _open(path: bytes, options: Mapping[str, str]) -> Dataset:
    from ..api.datasets import open_dataset

    dataset = open_dataset(path)
    expected = options.get("uuid")
    if expected and expected != dataset.here:
        dataset.close()
        raise UsageError(f"expected repository UUID {expected} but found UUID {dataset.here}")
    return dataset


def _unknown(command: str) -> HoldError:
    words = ", ".join((*_ACTIONS, *_GIT))
    return faults.BAD_USAGE(what=f"{command!r} is not one of {words}", command="serve")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..api.datasets import Dataset
    from ..api.served import Rights

if __name__ == "__main__":
    sys.exit(run())
