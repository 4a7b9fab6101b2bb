"""What the operating system says becomes one of our faults, the same one wherever it is met."""

from __future__ import annotations

import errno
import os

import pytest

from holdfast.core.system_errors import as_fault, foreseen

MEANING = {
    errno.ENOSPC: ("H401", 3),
    errno.EDQUOT: ("H401", 3),
    errno.EFBIG: ("H401", 3),
    errno.EROFS: ("H402", 4),
    errno.EACCES: ("H402", 4),
    errno.EPERM: ("H402", 4),
    errno.ENAMETOOLONG: ("H407", 4),
    errno.EIO: ("H403", 3),
    errno.ESTALE: ("H403", 3),
    errno.EMFILE: ("H403", 3),
    errno.ENFILE: ("H403", 3),
    errno.ENOMEM: ("H403", 3),
}


@pytest.mark.parametrize("number", MEANING)
def test_what_may_happen_to_anybody_has_its_fault(number: int) -> None:
    error = OSError(number, os.strerror(number), b"/data/.git/annex/tmp/x")
    for found in (foreseen(error, "scan.nii"), as_fault(error, "scan.nii")):
        assert found is not None
        assert (found.code, found.exit_code) == MEANING[number]
        assert "scan.nii" in found.what
        assert os.strerror(number).lower() in found.why


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.EBUSY, 99999])
def test_what_nobody_foresaw_is_the_disks_fault_only_where_files_are_handled(number: int) -> None:
    error = OSError(number, "odd", "/data/x")
    assert foreseen(error) is None
    assert as_fault(error, "scan.nii").code == "H403"


def test_without_a_path_the_error_says_where() -> None:
    def where(name: object) -> str:
        found = foreseen(OSError(errno.EIO, "no", name))
        assert found is not None
        return found.what

    assert "/data/x" in where("/data/x")
    assert "/data/\udce9" in where(b"/data/\xe9")
    assert "this machine" in where(None)
    assert "7" in where(7)


def test_an_error_without_a_number_keeps_its_words() -> None:
    assert foreseen(OSError("Timed out")) is None
    assert as_fault(OSError("Timed out"), "scan.nii").why == "timed out"
