"""Which ciphers ssh is told to prefer: the same ones in a quicker order, or what it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.stores import ssh_calls
from holdfast.stores.ssh_calls import USUAL_ORDERS, SshCalls, quicker_order
from holdfast.stores.ssh_command import SshAddress

OLD = (
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,"
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
)
QUICK = (
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr"
)


@pytest.mark.parametrize("order", sorted(USUAL_ORDERS))
def test_the_usual_list_is_offered_whole_in_another_order(order: str) -> None:
    found = quicker_order(f"host h\nciphers {order}\nport 22\n")
    assert found is not None
    assert sorted(found.split(",")) == sorted(order.split(","))
    assert found.split(",")[:2] == ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]


@pytest.mark.parametrize(
    "chosen",
    [
        "aes256-ctr",
        OLD.replace(",aes128-ctr", ""),
        "aes256-gcm@openssh.com,chacha20-poly1305@openssh.com",
        ",".join(reversed(OLD.split(","))),
        "",
    ],
)
def test_a_list_that_somebody_chose_stays(chosen: str) -> None:
    assert quicker_order(f"ciphers {chosen}\n") is None
    assert quicker_order("port 22\n") is None


def fake_ssh(folder: Path, ciphers: str) -> str:
    path = folder / "ssh"
    path.write_text(f'#!/bin/sh\necho "$@" >>"{folder}/asked"\necho "ciphers {ciphers}"\n')
    path.chmod(0o755)
    return str(path)


def test_ssh_is_asked_once_and_only_where_content_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_calls, "has_aes", lambda: True)
    ssh = fake_ssh(tmp_path, OLD)
    calls = SshCalls(SshAddress("h", "/x", "me", 7), ["-v"], program=ssh)
    assert calls.usual(["true"]) == [ssh, "-v", "-p", "7", "me@h", "true"]
    assert not (tmp_path / "asked").exists()
    quick = ["-v", "-o", f"Ciphers={QUICK}", "-p", "7"]
    assert calls.sftp() == [ssh, *quick, "-s", "me@h", "sftp"]
    assert calls.either(["p2pstdio"])[:7] == [ssh, *quick, "me@h"]
    assert (tmp_path / "asked").read_text() == "-v -p 7 -G me@h\n"


def test_without_aes_or_when_switched_off_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = fake_ssh(tmp_path, OLD)
    plain = [ssh, "-s", "h", "sftp"]
    monkeypatch.setattr(ssh_calls, "has_aes", lambda: False)
    assert SshCalls(SshAddress("h", "/x"), program=ssh).sftp() == plain
    monkeypatch.setattr(ssh_calls, "has_aes", lambda: True)
    off = SshCalls(SshAddress("h", "/x"), program=ssh, quick_cipher=False)
    assert off.sftp() == plain
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("script", ["exit 1", "echo no settings", "echo ciphers aes256-ctr"])
def test_an_ssh_that_tells_nothing_or_was_told_better_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(ssh_calls, "has_aes", lambda: True)
    path = tmp_path / "ssh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    calls = SshCalls(SshAddress("h", "/x"), program=str(path))
    assert calls.sftp() == [str(path), "-s", "h", "sftp"]
