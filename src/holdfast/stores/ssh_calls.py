"""The calls of ssh that reach one host, and the cipher that content goes by (decision 11).

OpenSSH prefers a cipher that is quick everywhere; with AES in the processor another of its own
list is quicker by far. Where settings leave the list as it comes, the same ciphers are offered in
another order. None is added, none taken away, and an order that somebody chose stays.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from functools import cached_property

from .ssh_command import SshAddress, either_argv, settings_argv, sftp_argv, ssh_argv

USUAL_ORDERS = frozenset(
    (
        "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,"
        "aes128-gcm@openssh.com,aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
        "aes128-ctr,aes192-ctr,aes256-ctr",
    )
)
"""What OpenSSH offers when nobody says otherwise, before and since version 10."""

_ASK_S = 5.0
_GLANCE = 1 << 13


class SshCalls:
    """How to call ssh for one host."""

    def __init__(
        self,
        address: SshAddress,
        options: Sequence[str] = (),
        *,
        shell_command: str | None = None,
        program: str = "ssh",
        quick_cipher: bool = True,
    ) -> None:
        """``options`` and the rest are as for `ssh_argv`; without ``quick_cipher`` all stays."""
        self._address = address
        self._options = list(options)
        self._shell_command = shell_command
        self._program = program
        self._quick_cipher = quick_cipher

    def usual(self, words: list[str]) -> list[str]:
        """The call that runs a command there."""
        return ssh_argv(
            self._address, words,
            options=self._options, shell_command=self._shell_command, program=self._program,
        )  # fmt: skip

    def either(self, words: list[str]) -> list[str]:
        """The call that has hold's own program there, or git-annex-shell, take content."""
        return either_argv(
            self._address, words, options=self._options + self._cipher,
            shell_command=self._shell_command, program=self._program,
        )  # fmt: skip

    def sftp(self) -> list[str]:
        """The call that talks SFTP."""
        return sftp_argv(
            self._address, options=self._options + self._cipher,
            shell_command=self._shell_command, program=self._program,
        )  # fmt: skip

    @cached_property
    def _cipher(self) -> list[str]:
        """The option that names the ciphers in a quicker order, where there is one."""
        if not (self._quick_cipher and has_aes()):
            return []
        argv = settings_argv(
            self._address, options=self._options,
            shell_command=self._shell_command, program=self._program,
        )  # fmt: skip
        try:
            told = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return []
        order = quicker_order(told.decode("utf-8", "replace"))
        return ["-o", f"Ciphers={order}"] if order else []


def quicker_order(settings: str) -> str | None:
    """The ciphers that settings (of ``ssh -G``) allow, AES-GCM first; None: all is to stay."""
    lines = (line.partition(" ") for line in settings.splitlines())
    allowed = next((value for name, _, value in lines if name.lower() == "ciphers"), "")
    if allowed not in USUAL_ORDERS:
        return None
    return ",".join(sorted(allowed.split(","), key=lambda name: "-gcm@" not in name))


def has_aes() -> bool:
    """Whether the processor has instructions for AES, as far as the system tells."""
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    try:
        with open("/proc/cpuinfo", "rb") as told:
            lines = told.read(_GLANCE).splitlines()
    except OSError:
        return False
    flags = [line.split() for line in lines if line.lower().startswith((b"flags", b"features"))]
    return bool(flags) and b"aes" in flags[0]
