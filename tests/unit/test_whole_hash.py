"""A file's own hash is made beside its leaves', by whichever threads have them, and in order."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from holdfast.archive.contents import File, SourceFault
from holdfast.archive.leaf_jobs import LeafJob
from holdfast.archive.plan_records import FileRecord
from holdfast.archive.whole_hash import WholeHash, whole_hash
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
PATIENCE_S = 60


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


def run_by_threads(jobs: list[LeafJob], kernel: Kernel, count: int) -> None:
    """As the packer does: begun in their order, and by several threads."""
    todo, guard = iter(jobs), threading.Lock()

    def work() -> None:
        while True:
            with guard:
                job = next(todo, None)
            if job is None:
                return
            assert job.run(kernel, bytes(UNIT_SIZE)) == PLAIN.roots(bytes(UNIT_SIZE))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "a leaf waits for ever"


def pack(path: Path, key: Key, kernel: Kernel, threads: int) -> None:
    """All that happens to one file. Raises SourceFault."""
    file = File(record_of(key), os.fsencode(path), LEAF, kernel)
    try:
        jobs = jobs_of(file)
        run_by_threads(jobs, kernel, threads)
        for job in jobs:
            job.wait()
            assert job.digests == hashlib.sha256(job.buffer).digest()
            file.take(memoryview(job.buffer), job.digests)
        file.finish()
    finally:
        file.close()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("backend", DIGESTS)
def test_a_right_file_is_right_and_a_wrong_one_is_not(
    tmp_path: Path, kernel: Kernel, backend: bytes, threads: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    pack(path, key_of(backend, DIGESTS[backend]), kernel, threads)
    for at in (0, 5 * LEAF - 1, len(CONTENT) - 1):
        path.write_bytes(CONTENT[:at] + bytes([CONTENT[at] ^ 1]) + CONTENT[at + 1 :])
        with pytest.raises(SourceFault, match=f"its hash should be {DIGESTS[backend]} and is"):
            pack(path, key_of(backend, DIGESTS[backend]), kernel, threads)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("backend", [b"MD5E", b"SHA256E"])
def test_nobody_waits_for_a_leaf_that_is_gone(
    tmp_path: Path, kernel: Kernel, backend: bytes, threads: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    file = File(record_of(key_of(backend, DIGESTS[backend])), os.fsencode(path), LEAF, kernel)
    os.truncate(path, 4 * LEAF + 5)
    jobs = jobs_of(file)
    run_by_threads(jobs, kernel, threads)
    for job in jobs[:4]:
        job.wait()
    for job in jobs[4:]:
        with pytest.raises(SourceFault, match="it changed while it was read"):
            job.wait()
    file.close()


def test_a_leaf_waits_for_the_one_before(tmp_path: Path) -> None:
    key, told = key_of(b"MD5", DIGESTS[b"MD5"]), []
    whole = WholeHash(key, hashlib.md5(usedforsecurity=False))

    def second() -> None:
        with whole.turn(LEAF, len(CONTENT) - LEAF) as running:
            told.append("second")
            assert running is not None
            running.update(CONTENT[LEAF:])

    thread = threading.Thread(target=second)
    with whole.turn(0, LEAF) as running:
        thread.start()
        thread.join(0.05)
        told.append("first")
        assert running is not None
        running.update(CONTENT[:LEAF])
    thread.join(PATIENCE_S)
    assert told == ["first", "second"] and not whole.fault()


def test_what_was_given_up_is_not_right() -> None:
    whole = WholeHash(key_of(b"MD5", DIGESTS[b"MD5"]), hashlib.md5(usedforsecurity=False))
    whole.give_up()
    with whole.turn(LEAF, LEAF) as running:
        assert running is None
    assert whole.fault()


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
