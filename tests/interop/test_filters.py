"""Plain git on unlocked files, with our filters alone: no git-annex on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.wire import pkt_line

pytestmark = pytest.mark.interop

HOLD = Path(sys.executable).with_name("hold")
LARGE = 12 << 20


def clean_environment(bin_folder: Path) -> dict[str, str]:
    """Only git, a shell and hold on PATH."""
    bin_folder.mkdir()
    for name in ("git", "sh", "env", "rm", "sed", "cat", "basename", "uname"):
        found = shutil.which(name)
        if found:
            (bin_folder / name).symlink_to(found)
    (bin_folder / "hold").symlink_to(HOLD)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "HOLDFAST"))}
    return {
        **kept,
        "PATH": str(bin_folder),
        "HOME": str(bin_folder),
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }


class Study:
    """A repository with an annex, and git in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def run(self, *words: str, fails: bool = False) -> str:
        """Run a program; its output."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, check=False
        )
        assert (done.returncode != 0) is fails, (words, done.stderr.decode())
        return done.stdout.decode() + (done.stderr.decode() if fails else "")

    def git(self, *words: str) -> str:
        """Run git."""
        return self.run("git", *words)

    def status(self) -> str:
        """What git says is not as committed."""
        return self.git("status", "--porcelain")

    def blob(self, path: str) -> bytes:
        """What git has staged at a path."""
        return subprocess.check_output(
            ["git", "cat-file", "blob", f":{path}"], cwd=self.folder, env=self.environment
        )

    def write(self, path: str, content: bytes) -> Path:
        """Write a file."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A data set with a rule: what ends in .dat is annexed."""
    folder = tmp_path / "study"
    folder.mkdir()
    found = Study(folder, clean_environment(tmp_path / "bin"))
    found.git("init", "-q", "-b", "main")
    found.run("hold", "annex", "init", "here")
    found.write(".gitattributes", b"*.dat annex.largefiles=anything\n")
    found.git("add", ".gitattributes")
    found.git("commit", "-qm", "rule")
    return found


def content_in_annex(study: Study) -> list[bytes]:
    objects = study.folder / ".git" / "annex" / "objects"
    return sorted(p.read_bytes() for p in objects.rglob("*") if p.is_file())


def test_git_add_stores_a_pointer_and_keeps_the_content_in_the_annex(study: Study) -> None:
    study.write("scan.dat", b"volume")
    study.git("add", "scan.dat")
    assert study.blob("scan.dat").startswith(b"/annex/objects/SHA256E-s6--")
    assert content_in_annex(study) == [b"volume"]
    assert (study.folder / "scan.dat").read_bytes() == b"volume"


def test_what_no_rule_speaks_of_stays_in_git(study: Study) -> None:
    study.write("notes.txt", b"text")
    study.git("add", "notes.txt")
    assert study.blob("notes.txt") == b"text"
    assert content_in_annex(study) == []


def test_a_committed_file_is_clean_also_after_it_was_touched(study: Study) -> None:
    file = study.write("scan.dat", b"volume")
    study.git("add", ".")
    study.git("commit", "-qm", "scan")
    os.utime(file, (1, 1))
    assert study.status() == ""


def test_a_changed_file_is_modified_and_its_new_content_is_annexed_too(study: Study) -> None:
    study.write("scan.dat", b"one")
    study.git("add", ".")
    study.git("commit", "-qm", "scan")
    study.write("scan.dat", b"two")
    assert study.status() == " M scan.dat\n"
    study.git("commit", "-qam", "again")
    assert content_in_annex(study) == [b"one", b"two"]
    assert study.status() == ""


def test_checkout_puts_content_in_place_and_leaves_a_clean_status(study: Study) -> None:
    for content in (b"one", b"second"):
        study.write("scan.dat", content)
        study.git("add", ".")
        study.git("commit", "-qm", "scan")
    study.git("checkout", "-q", "HEAD~1")
    assert (study.folder / "scan.dat").read_bytes() == b"one"
    assert study.status() == ""
    study.git("checkout", "-q", "main")
    assert (study.folder / "scan.dat").read_bytes() == b"second"
    assert study.status() == ""


def test_a_stash_brings_changed_content_back(study: Study) -> None:
    study.write("scan.dat", b"one")
    study.git("add", ".")
    study.git("commit", "-qm", "scan")
    study.write("scan.dat", b"changed")
    study.git("stash", "-q")
    assert (study.folder / "scan.dat").read_bytes() == b"one"
    assert study.status() == ""
    study.git("stash", "pop", "-q")
    assert (study.folder / "scan.dat").read_bytes() == b"changed"
    assert study.status() == " M scan.dat\n"


def test_a_hard_reset_brings_content_back(study: Study) -> None:
    study.write("scan.dat", b"one")
    study.git("add", ".")
    study.git("commit", "-qm", "scan")
    (study.folder / "scan.dat").unlink()
    study.git("reset", "-q", "--hard")
    assert (study.folder / "scan.dat").read_bytes() == b"one"
    assert study.status() == ""


def test_a_merge_of_unlocked_files_brings_their_content(study: Study) -> None:
    study.write("a.dat", b"a")
    study.git("add", ".")
    study.git("commit", "-qm", "a")
    study.git("checkout", "-qb", "side")
    study.write("a.dat", b"a of side")
    study.write("b.dat", b"b of side")
    study.git("add", ".")
    study.git("commit", "-qm", "side")
    study.git("checkout", "-q", "main")
    study.write("c.dat", b"c of main")
    study.git("add", ".")
    study.git("commit", "-qm", "main")
    study.git("merge", "-q", "-m", "both", "side")
    names = ("a.dat", "b.dat", "c.dat")
    found = [(study.folder / name).read_bytes() for name in names]
    assert found == [b"a of side", b"b of side", b"c of main"]
    assert study.status() == ""


def test_a_large_file_passes_both_ways(study: Study) -> None:
    content = os.urandom(1 << 20) * (LARGE >> 20)
    study.write("large.dat", content)
    study.write("large.txt", content)
    study.git("add", ".")
    study.git("commit", "-qm", "large")
    assert study.blob("large.dat").startswith(b"/annex/objects/")
    for name in ("large.dat", "large.txt"):
        (study.folder / name).unlink()
    study.git("checkout", "-q", "--", ".")
    for name in ("large.dat", "large.txt"):
        assert (study.folder / name).read_bytes() == content, name


def test_a_renamed_file_stays_annexed_without_a_rule(study: Study) -> None:
    study.write("scan.dat", b"volume")
    study.git("add", ".")
    study.git("commit", "-qm", "scan")
    os.rename(study.folder / "scan.dat", study.folder / "scan.txt")
    study.git("add", "scan.txt")
    assert study.blob("scan.txt").startswith(b"/annex/objects/SHA256E-s6--")


def test_a_file_of_git_stays_there_when_a_rule_comes_later_and_it_was_only_touched(
    study: Study,
) -> None:
    file = study.write("old.dat", b"in git")
    study.git("-c", "annex.largefiles=nothing", "add", "old.dat")
    study.git("commit", "-qm", "old")
    os.utime(file, (1, 1))
    assert study.status() == ""
    assert study.blob("old.dat") == b"in git"


def test_a_pointer_passes_and_names_with_odd_bytes_do_too(study: Study) -> None:
    name = 'sp ace "ü"\n.dat'
    study.write(name, b"odd")
    study.git("add", ".")
    assert study.blob(name).startswith(b"/annex/objects/")
    pointer = b"/annex/objects/SHA256E-s3--" + b"0" * 64 + b".dat\n"
    study.write("absent.dat", pointer)
    study.git("add", "absent.dat")
    assert study.blob("absent.dat") == pointer


def test_the_ledger_knows_what_git_added(study: Study) -> None:
    study.write("scan.dat", b"volume")
    study.git("add", "scan.dat")
    assert "(1 copy)" in study.run("hold", "annex", "whereis", "scan.dat")


def test_links_of_moved_files_are_set_right_before_the_commit(study: Study) -> None:
    study.write("scan.dat", b"volume")
    study.run("hold", "annex", "add", "scan.dat")
    study.git("commit", "-qm", "scan")
    (study.folder / "deep" / "er").mkdir(parents=True)
    study.git("mv", "scan.dat", "deep/er/scan.dat")
    study.git("commit", "-qm", "moved")
    moved = study.folder / "deep" / "er" / "scan.dat"
    assert moved.is_symlink()
    assert moved.read_bytes() == b"volume"
    assert study.git("show", "HEAD:deep/er/scan.dat").startswith("../../.git/annex/objects/")
    assert study.status() == ""


def test_content_of_a_file_that_is_gone_comes_from_what_git_sends(study: Study) -> None:
    done = subprocess.run(
        ["hold", "annex", "smudge", "--clean", "--", "gone.dat"],
        cwd=study.folder, env=study.environment, input=b"from git", capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(b"/annex/objects/SHA256E-s8--")
    assert done.stdout.endswith(b".dat\n")
    assert content_in_annex(study) == [b"from git"]


def test_one_file_at_a_time_works_as_the_process_does(study: Study) -> None:
    study.git("config", "--unset", "filter.annex.process")
    study.write("scan.dat", b"one")
    study.git("add", ".")
    study.git("commit", "-qm", "scan")
    assert content_in_annex(study) == [b"one"]
    (study.folder / "scan.dat").unlink()
    study.git("checkout", "-q", "main", "--", ".")
    assert study.blob("scan.dat").startswith(b"/annex/objects/")


def test_trouble_is_an_exit_code_after_all_input_was_read(study: Study) -> None:
    study.write("scan.dat", b"short")
    done = subprocess.run(
        ["hold", "annex", "smudge", "--clean", "--", "scan.dat"],
        cwd=study.folder, env=study.environment, input=b"x" * (1 << 20), capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"changed while it was being saved" in done.stderr


def test_trouble_in_the_process_is_told_to_git_and_the_next_file_is_served(study: Study) -> None:
    study.write("scan.dat", b"short")
    study.write("good.dat", b"good")
    talk = [pkt_line.encode_list((b"git-filter-client", b"version=2"))]
    talk.append(pkt_line.encode_list((b"capability=clean", b"capability=smudge")))
    for path, content in ((b"scan.dat", b"other bytes"), (b"good.dat", b"good")):
        talk.append(pkt_line.encode_list((b"command=clean", b"pathname=" + path)))
        talk.append(b"".join(pkt_line.iter_content(content)) + pkt_line.FLUSH)
    done = subprocess.run(
        ["hold", "annex", "filter-process"],
        cwd=study.folder, env=study.environment, input=b"".join(talk), capture_output=True,
        check=True,
    )  # fmt: skip
    assert pkt_line.ERROR in done.stdout
    assert b"/annex/objects/SHA256E-s4--" in done.stdout
    assert b"scan.dat" in done.stderr


def test_the_filter_process_starts_without_the_heavy_modules() -> None:
    code = (
        "import sys, io; sys.stdin = io.TextIOWrapper(io.BytesIO()); "
        "from holdfast.cli.main import run; run(['annex', 'filter-process']); "
        "print([m for m in sys.modules if m in ('argparse', 'subprocess', 'json', 'tempfile')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
