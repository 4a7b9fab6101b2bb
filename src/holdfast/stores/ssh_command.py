"""How to reach a command on another machine by ssh, as git would. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from ..core import faults

_EITHER = (
    "command -v hold-annex-shell >/dev/null 2>&1"
    ' && exec hold-annex-shell --or-git-annex-shell "$@"; exec git-annex-shell "$@"'
)
"""Nothing in it but quotes has a meaning of its own in any login shell, and those are ours."""


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A repository on another machine: whom to be, where, which folder there."""

    host: str
    path: str
    user: str | None = None
    port: int | None = None

    @property
    def target(self) -> str:
        """What ssh is told: ``user@host``."""
        return f"{self.user}@{self.host}" if self.user else self.host


def parse_ssh_address(url: str) -> SshAddress:
    """Read ``ssh://user@host:port/path`` or ``user@host:path``.

    Paths in a home folder get the form ``/~/path`` that git-annex-shell reads.

    Raises:
        PolicyError: It is none of these, or would be an option to ssh.
    """
    address = _from_url(url) if "://" in url else _from_short(url)
    if not address.host or not address.path:
        raise faults.BAD_URL(url=url, detail="it has not the form ssh://HOST/PATH or HOST:PATH")
    if address.target.startswith("-") or address.host.startswith("-") or "\n" in url:
        raise faults.BAD_URL(url=url, detail="ssh would take it for an option")
    if address.path.startswith("/"):
        return address
    path = address.path if address.path.startswith("~") else f"~/{address.path}"
    return replace(address, path=f"/{path}")


def _from_url(url: str) -> SshAddress:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise faults.BAD_URL(url=url, detail="it is no URL") from None
    if parts.scheme not in ("ssh", "git+ssh", "ssh+git"):
        raise faults.BAD_URL(url=url, detail="it is no ssh URL")
    path = unquote(parts.path)
    user = unquote(parts.username) if parts.username else None
    return SshAddress(parts.hostname or "", path, user, port)


def _from_short(url: str) -> SshAddress:
    if url.startswith(("[", "@")) or "@[" in url:
        return _from_brackets(url)
    head, _, path = url.partition(":")
    user, _, host = head.rpartition("@")
    return SshAddress(host, path, user or None)


def _from_brackets(url: str) -> SshAddress:
    """``user@[host:port]:path`` and ``[::1]:path``."""
    user, _, rest = url.rpartition("@[") if "@[" in url else ("", "", url[1:])
    inside, _, path = rest.partition("]:")
    host, colon, port = inside.rpartition(":")
    if colon and port.isdecimal() and ":" not in host:
        return SshAddress(host, path, user or None, int(port))
    return SshAddress(inside, path, user or None)


def ssh_argv(
    address: SshAddress,
    words: list[str],
    *,
    options: Sequence[str] = (),
    shell_command: str | None = None,
    program: str = "ssh",
) -> list[str]:
    """The call that runs a command there, its words in single quotes as git-annex-shell wants.

    ``options`` are those of the remote for ssh. ``shell_command`` is GIT_SSH_COMMAND or
    core.sshCommand, which the shell reads; ``program`` is GIT_SSH, one program without options.
    """
    remote = " ".join([words[0], *(_quoted(word) for word in words[1:])])
    return _called([*options, *_port(address), address.target, remote], shell_command, program)


def either_argv(
    address: SshAddress,
    words: list[str],
    *,
    options: Sequence[str] = (),
    shell_command: str | None = None,
    program: str = "ssh",
) -> list[str]:
    """The call that has hold's own program there carry out words, or git-annex-shell without it.

    `sh` chooses, since the login shell may be any. ``words`` are without the program's name.
    """
    return ssh_argv(
        address, ["sh", "-c", _EITHER, "sh", *words],
        options=options, shell_command=shell_command, program=program,
    )  # fmt: skip


def sftp_argv(
    address: SshAddress,
    *,
    options: Sequence[str] = (),
    shell_command: str | None = None,
    program: str = "ssh",
) -> list[str]:
    """The call that talks SFTP with that machine; other words as for `ssh_argv`."""
    call = [*options, *_port(address), "-s", address.target, "sftp"]
    return _called(call, shell_command, program)


def settings_argv(
    address: SshAddress,
    *,
    options: Sequence[str] = (),
    shell_command: str | None = None,
    program: str = "ssh",
) -> list[str]:
    """The call that prints what ssh would go by for that machine; it connects to nobody."""
    return _called([*options, *_port(address), "-G", address.target], shell_command, program)


def _port(address: SshAddress) -> list[str]:
    return ["-p", str(address.port)] if address.port is not None else []


def _called(call: list[str], shell_command: str | None, program: str) -> list[str]:
    if shell_command:
        return ["sh", "-c", f'{shell_command} "$@"', shell_command, *call]
    return [program, *call]


def _quoted(word: str) -> str:
    # As git-annex does it: as a login shell, git-annex-shell reads quotes but no backslashes.
    return "'" + word.replace("'", "'\"'\"'") + "'"
