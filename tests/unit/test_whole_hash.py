"""A file's own hash is made beside its leaves', by the thread that has them all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from holdfast.archive.contents import File, SourceFault
from holdfast.archive.leaf_jobs import LeafJob
from holdfast.archive.plan_records import FileRecord
from holdfast.archive.whole_hash import whole_hash
from holdfast.core.key import Key
from holdfast.kernel.compiled import HARDWARE, CompiledKernel
from holdfast.testing.kernels import compiled_library, every_kernel
from holdfast.wire.archive_rows import RowKind
from holdfast.wire.piece import PLAIN, UNIT_SIZE, Kernel

LEAF = 1 << 16
CONTENT = os.urandom(9 * LEAF + 77)
DIGESTS = {
    b"MD5E": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    b"MD5": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    b"SHA256E": hashlib.sha256(CONTENT).hexdigest(),
    b"SHA256": hashlib.sha256(CONTENT).hexdigest(),
    b"SHA1": hashlib.sha1(CONTENT, usedforsecurity=False).hexdigest(),
}


@pytest.fixture(params=list(every_kernel()))
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return every_kernel()[request.param]


def key_of(backend: bytes, digest: str) -> Key:
    return Key.make(backend, digest.encode(), size=len(CONTENT))


def record_of(key: Key) -> FileRecord:
    empty = FileRecord._make([None] * len(FileRecord._fields))
    return empty._replace(kind=RowKind.ANNEXED, path=b"a", key=key, size=len(CONTENT))


def jobs_of(file: File) -> list[LeafJob]:
    jobs = []
    for start in range(0, len(CONTENT), LEAF):
        size = min(LEAF, len(CONTENT) - start)
        job = LeafJob(bytearray(size))
        job.set_leaf(file, start, 0, size)
        jobs.append(job)
    return jobs


def run_all(jobs: list[LeafJob], kernel: Kernel) -> None:
    for job in jobs:
        assert job.run(kernel, bytes(UNIT_SIZE)) == PLAIN.roots(bytes(UNIT_SIZE))


def pack(path: Path, key: Key, kernel: Kernel) -> None:
    """All that happens to one file. Raises SourceFault."""
    file = File(record_of(key), os.fsencode(path), LEAF, kernel)
    try:
        jobs = jobs_of(file)
        run_all(jobs, kernel)
        for job in jobs:
            job.wait()
            assert job.digests == hashlib.sha256(job.buffer).digest()
            file.take(memoryview(job.buffer), job.digests)
        file.finish()
    finally:
        file.close()


@pytest.mark.parametrize("backend", DIGESTS)
def test_a_right_file_is_right_and_a_wrong_one_is_not(
    tmp_path: Path, kernel: Kernel, backend: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    pack(path, key_of(backend, DIGESTS[backend]), kernel)
    for at in (0, 5 * LEAF - 1, len(CONTENT) - 1):
        path.write_bytes(CONTENT[:at] + bytes([CONTENT[at] ^ 1]) + CONTENT[at + 1 :])
        with pytest.raises(SourceFault, match=f"its hash should be {DIGESTS[backend]} and is"):
            pack(path, key_of(backend, DIGESTS[backend]), kernel)


@pytest.mark.parametrize("backend", [b"MD5E", b"SHA256E"])
def test_a_leaf_that_is_gone_is_told_and_those_after_it_too(
    tmp_path: Path, kernel: Kernel, backend: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    file = File(record_of(key_of(backend, DIGESTS[backend])), os.fsencode(path), LEAF, kernel)
    os.truncate(path, 4 * LEAF + 5)
    jobs = jobs_of(file)
    run_all(jobs[:6], kernel)
    path.write_bytes(CONTENT)
    run_all(jobs[6:], kernel)
    for number, job in enumerate(jobs):
        if number in (4, 5):
            with pytest.raises(SourceFault, match="it changed while it was read"):
                job.wait()
        else:
            job.wait()
        file.take(memoryview(job.buffer), job.digests)
    with pytest.raises(SourceFault):
        file.finish()
    file.close()


def test_only_what_costs_less_together_goes_along() -> None:
    key = key_of(b"MD5E", DIGESTS[b"MD5E"])
    assert whole_hash(key, PLAIN) is None
    library = compiled_library()
    if library is None or HARDWARE not in library.kinds:
        pytest.skip("this machine has no instructions for SHA-256")
    kernel = CompiledKernel(library)
    assert whole_hash(key, kernel) is not None
    assert whole_hash(key_of(b"SHA256E", DIGESTS[b"SHA256E"]), kernel) is not None
    assert whole_hash(key_of(b"SHA1", DIGESTS[b"SHA1"]), kernel) is None
    assert whole_hash(Key(b"WORM-s3-m1--a"), kernel) is None
