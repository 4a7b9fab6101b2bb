"""Shell scripts that make a sibling's folder, here or on another machine; pure text.

They are run by ``sh -s``, here or over ssh. Each can be run again: what is there is used. What
they find out they say in lines that begin with `SAYS`; all else is talk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from shlex import quote

from ..core import faults
from .ria import OBJECTS_VERSION, STORE_VERSION, UUID_SETTING, VERSION_FILE, dataset_path

SAYS = "hold-says"

_HEAD = f"""set -eu
say() {{ printf '%s %s %s\\n' {SAYS} "$1" "$2"; }}
command -v git >/dev/null || {{ say fails 'git is not installed there'; exit 0; }}
"""
_LOOK = """if [ -e "$top/HEAD" ] || [ -e "$top/.git" ]; then
  heads=$(git -C "$top" for-each-ref --count=1 --format=x refs/heads/ | head -n 1)
  others=$(git -C "$top" for-each-ref refs/heads/ | grep -v '/git-annex$' || :)
  say found "${others:+full}${heads:+ repository}"
elif [ -e "$top" ] && [ ! -d "$top" ]; then
  say fails 'a file is there'; exit 0
elif [ -d "$top" ] && [ -n "$(ls -A "$top")" ]; then
  say found files
fi
"""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who else may use it: a mode as ``git init --shared`` has, a group of the system."""

    mode: str | None = None
    group: str | None = None


def shell_path(path: str) -> str:
    """A path for the shell; ``/~/x`` is in the home folder.

    Raises:
        PolicyError: It is in the home folder of somebody else, or no path.
    """
    if "\n" in path or "\0" in path:
        raise faults.BAD_URL(url=path, detail="a path is one line")
    if path == "/~" or path.startswith("/~/"):
        return f'"$HOME"/{quote(path[3:])}'
    if path.startswith("/~"):
        raise faults.BAD_URL(url=path, detail="say the whole path, without ~NAME")
    return quote(path)


def look_script(path: str) -> str:
    """Say what is at a path (``found``): nothing, files, a repository, one full of versions."""
    return f"{_HEAD}top={shell_path(path)}\n{_LOOK}"


def repository_script(
    path: str,
    *,
    bare: bool,
    branch: str,
    sharing: Sharing,
    description: str | None,
    hook: bool,
) -> str:
    """Make a repository; with a ``description``, one with an annex, where a program there can.

    Says ``uuid``, when it has an annex in the end.
    """
    lines = [
        f"top={shell_path(path)}",
        'mkdir -p "$top"',
        f'git init -q {"--bare " if bare else ""}{_shared(sharing)}"$top"',
        'cd "$top"',
        *_branch(branch),
    ]
    if not bare:
        lines.append("git config receive.denyCurrentBranch updateInstead")
    if hook:
        lines += _update_hook()
    if description is not None:
        lines += _annex(description)
    lines += _opened(sharing, "annex")
    lines.append('say uuid "$(git config annex.uuid || :)"')
    return _HEAD + "\n".join(lines) + "\n"


def ria_script(
    store: str,
    identity: str,
    *,
    storage: str,
    new_store: bool,
    alias: str | None,
    branch: str,
    sharing: Sharing,
    hook: bool,
    git: bool = True,
) -> str:
    """Make a data set's folder in a RIA store, and the store if that is wanted.

    Says ``fails`` and why, or ``uuid``, the storage that the folder belongs to: ``storage``, unless
    it had one before.
    """
    inside = dataset_path(identity)
    lines = [f"store={shell_path(store)}", *_store(new=new_store), f'top="$store"/{quote(inside)}']
    lines += ['mkdir -p "$top"']
    if git:
        lines += [f'git init -q --bare {_shared(sharing)}"$top"']
    lines += ['cd "$top"', *(_branch(branch) if git else ())]
    lines += ["mkdir -p annex/objects archives", *_version_file(OBJECTS_VERSION)]
    if git:
        lines += [
            f"git config {UUID_SETTING} >/dev/null || git config {UUID_SETTING} {quote(storage)}",
            f'say uuid "$(git config {UUID_SETTING})"',
        ]
    if hook:
        lines += _update_hook()
    lines += _opened(sharing, "annex annex/objects archives")
    if alias is not None:
        lines += _alias(alias, f"../{inside}")
    return _HEAD + "\n".join(lines) + "\n"


def read_answers(output: str) -> dict[str, str]:
    """What a script said."""
    return dict(_iter_answers(output))


def _iter_answers(output: str) -> Iterator[tuple[str, str]]:
    for line in output.splitlines():
        if line.startswith(f"{SAYS} "):
            _, _, rest = line.partition(" ")
            name, _, value = rest.partition(" ")
            yield name, value.strip()


def _shared(sharing: Sharing) -> str:
    return f"--shared={quote(sharing.mode)} " if sharing.mode else ""


def _branch(branch: str) -> list[str]:
    """Let HEAD name the branch that will be pushed; a full repository keeps its own."""
    name = quote(f"refs/heads/{branch}")
    return [f"git rev-parse -q --verify HEAD >/dev/null || git symbolic-ref HEAD {name}"]


def _update_hook() -> list[str]:
    """What a web server needs that knows nothing of git."""
    text = "#!/bin/sh\nexec git update-server-info\n"
    return [
        'hooks=$(git rev-parse --git-path hooks); mkdir -p "$hooks"',
        f'[ -e "$hooks/post-update" ] || printf %s {quote(text)} > "$hooks/post-update"',
        'chmod +x "$hooks/post-update"; git update-server-info',
    ]


def _annex(description: str) -> list[str]:
    """Let a program there make the annex; which one does not matter."""
    word = quote(description)
    return [
        "if git config annex.uuid >/dev/null; then :",
        f"elif command -v git-annex >/dev/null; then git annex init {word} >/dev/null",
        f"elif command -v hold >/dev/null; then hold annex init {word} >/dev/null",
        "fi",
    ]


def _opened(sharing: Sharing, folders: str) -> list[str]:
    """Folders that git knows nothing of, as open as git makes its own."""
    lines = []
    if sharing.group:
        lines.append(f"chgrp -R {quote(sharing.group)} .")
    modes = {"group": "g+rwXs", "true": "g+rwXs", "1": "g+rwXs"}
    everybody = ("all", "world", "everybody", "2")
    mode = modes.get(sharing.mode or "", "g+rwXs,o+rX" if sharing.mode in everybody else "")
    if mode:
        lines += [
            "dir=$(git rev-parse --git-dir 2>/dev/null || printf .)",
            f"for one in {folders}; do",
            f'  if [ -d "$dir/$one" ]; then chmod {mode} "$dir/$one"; fi',
            "done",
        ]
    return lines


def _store(*, new: bool) -> list[str]:
    made = [
        '  mkdir -p "$store/error_logs"',
        '  cd "$store"',
        *(f"  {line}" for line in _version_file(STORE_VERSION)),
    ]
    absent = made if new else ["  say fails no-store; exit 0"]
    return [
        f'if [ ! -e "$store/{VERSION_FILE}" ]; then',
        '  if [ -d "$store" ] && [ -n "$(ls -A "$store" | grep -v "^error_logs$")" ]; then',
        "    say fails 'the folder is there, and is no RIA store'; exit 0",
        "  fi",
        *absent,
        "fi",
        f'version=$(cat "$store/{VERSION_FILE}")',
        f'case "$version" in {STORE_VERSION}|{STORE_VERSION}"|"*) ;;',
        '  *) say fails "the store has the layout $version, which is not known"; exit 0;;',
        "esac",
    ]


def _version_file(version: str) -> list[str]:
    return [
        f"if [ ! -e {VERSION_FILE} ]; then",
        f"  printf '{version}\\n' > {VERSION_FILE}.new; mv {VERSION_FILE}.new {VERSION_FILE}",
        "fi",
    ]


def _alias(name: str, target: str) -> list[str]:
    link = f'"$store"/alias/{quote(name)}'
    return [
        'mkdir -p "$store/alias"',
        f"if [ -L {link} ] || [ -e {link} ]; then",
        f'  if [ "$(readlink {link} || :)" != {quote(target)} ]; then',
        "    say fails 'that alias is of another data set'; exit 0",
        "  fi",
        f"else ln -s {quote(target)} {link}; fi",
    ]
