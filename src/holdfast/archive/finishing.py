"""What was read and hashed is checked, gets what stands around it, and is noted."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

from ..core.progress import Progress
from ..wire.archive_rows import RowKind
from ..wire.car import encode_head
from ..wire.cid import RAW_SHA256, SHA256_CID_SIZE, Cid
from ..wire.file_layout import Block, plan_file
from ..wire.unixfs import Profile, symlink_block_size
from ..wire.varint import encode_varint
from .batches import Batch, Leaf, RunPart
from .contents import (
    Content,
    File,
    SourceFault,
    Sources,
    check_leaf,
    is_right,
    is_sealed,
    is_sealed_run,
    leaf_digest,
    not_right,
    wants_md5,
)
from .leaf_jobs import DIGEST_SIZE, MD5_SIZE, LeafJob
from .packed_tree import PackedTree
from .plan_records import FileRecord, FolderRecord
from .snapshot_state import Begun, SnapshotState


class Finisher:
    """Finishes batches in the order they were begun."""

    def __init__(
        self, state: SnapshotState, sources: Sources, progress: Progress, profile: Profile
    ) -> None:
        self.tree = PackedTree(profile)
        self.resume = 0
        """The first number that is not known; has to be set before anything is finished."""
        self.begun = Begun()
        """What was noted of that one, if some of its bytes are known."""
        self.contents: set[Content] = set()
        """Large files that are open; each is closed with its last leaf."""
        self._state = state
        self._sources = sources
        self._progress = progress
        self._profile = profile

    def finish(self, batch: Batch) -> None:
        """All of a batch: checked, noted, with what stands before and after leaves.

        Raises:
            SourceFault: A file is not what was planned.
        """
        if batch.job is not None:
            batch.job.wait()
        if batch.leaf is not None:
            self._finish_leaf(batch, batch.leaf)
        elif batch.job is not None:
            self._finish_files(batch, batch.job)
        else:
            for one in batch.todo:
                assert not isinstance(one, RunPart), "files of runs are written"
                record, _, cid = one
                self._finish_unwritten(record, cid)

    def close_folder(self, record: FolderRecord) -> list[Block]:
        """The blocks of a folder that has ended."""
        blocks = self.tree.close(record.path)
        assert len(blocks) == record.blocks, "folders are not as they were planned"
        if record.number >= self.resume:
            self._state.add(blocks[-1].cid)
        return blocks

    def stop(self) -> None:
        """Close what is open; may be called twice."""
        for content in self.contents:
            content.close()
        self.contents.clear()

    # many small files

    def _finish_files(self, batch: Batch, job: LeafJob) -> None:
        by_md5 = files = size = 0
        for one in batch.todo:
            if isinstance(one, RunPart):
                by_md5 = self._finish_run(job, one, by_md5)
                continue
            record, place, what = one
            if isinstance(record, FolderRecord):
                self._write_folder(job.buffer, place, self.close_folder(record))
            elif not isinstance(what, int):
                self._finish_unwritten(record, what)
            else:
                md5 = job.md5[by_md5 : by_md5 + MD5_SIZE] if wants_md5(record.key) else b""
                by_md5 += len(md5)
                self._finish_file(job, record, place, what, md5)
                files += 1
                size += record.size
        self._progress.advance(files, size)

    def _write_folder(self, buffer: memoryview, place: int, blocks: list[Block]) -> None:
        for cid, block in blocks if place >= 0 else ():
            section = encode_head(cid, len(block)) + block
            buffer[place : place + len(section)] = section
            place += len(section)

    def _finish_file(
        self, job: LeafJob, record: FileRecord, place: int, leaf: int, md5: bytes
    ) -> None:
        digest = job.digests[leaf * DIGEST_SIZE : (leaf + 1) * DIGEST_SIZE]
        if leaf in job.wrong or not (is_sealed(record) or is_right(record.key, digest, md5)):
            digest = self._check(record, job.buffer, place, wrong=leaf in job.wrong)
        cid = Cid(RAW_SHA256 + digest)
        self._hold_to_begun(record, cid)
        head = _head_start(record.size) + cid
        job.buffer[place : place + len(head)] = head
        self.tree.add(record.path, cid, record.size)
        self._state.add(cid)

    def _finish_run(self, job: LeafJob, part: RunPart, by_md5: int) -> int:
        """Files of a run; gives how much of the MD5 of a job is theirs and of those before them."""
        run, start, stop, place, leaf = part
        buffer, count = job.buffer, stop - start
        sizes, keys = run.sizes[start:stop], run.keys[start:stop]
        if is_sealed_run(run):
            keys = [None] * count  # what is in them was checked before
        digests = job.digests[leaf * DIGEST_SIZE : (leaf + count) * DIGEST_SIZE]
        end = by_md5 + MD5_SIZE * sum(map(wants_md5, keys)) if job.md5 else by_md5
        wrong = set(not_right(keys, digests, job.md5[by_md5:end]))
        wrong |= {number - leaf for number in job.wrong if leaf <= number < leaf + count}
        cids = [
            Cid(RAW_SHA256 + digests[at : at + DIGEST_SIZE])
            for at in range(0, len(digests), DIGEST_SIZE)
        ]
        places = accumulate(run.lengths[start : stop - 1], initial=place)
        for number, (at, begins) in enumerate(zip(places, map(_head_start, sizes), strict=True)):
            if number in wrong:
                is_unread, record = leaf + number in job.wrong, run.record(start + number)
                digest = self._check(record, buffer, at, wrong=is_unread)
                cids[number] = Cid(RAW_SHA256 + digest)
            head = begins + cids[number]
            buffer[at : at + len(head)] = head
        if 0 <= (at := self.resume - run.number - start) < count:
            self._hold_to_begun(run.record(start + at), cids[at])
        self.tree.add_run(run.folder, run.names[start:stop], cids, sizes)
        self._state.add_many(cids)
        self._progress.advance(count, sum(sizes))
        return end

    def _check(self, record: FileRecord, buffer: memoryview, place: int, *, wrong: bool) -> bytes:
        """Look closer at a file that could not be read, or whose key is not a usual one.

        Raises:
            SourceFault: It is not what was planned.
        """
        start = place + record.length - record.size
        view = buffer[start : start + record.size]
        if not wrong:
            return check_leaf(record, view)
        file = File(record, self._sources.path_of(record), self._profile.chunk_size)
        try:
            file.read(view, 0)
            digest = leaf_digest(view)
            file.take(view, digest)
            file.finish()
        finally:
            file.close()
        return digest

    def _finish_unwritten(self, record: FileRecord | FolderRecord, cid: object) -> None:
        """What is known, stands elsewhere, or was a block in memory."""
        if isinstance(record, FolderRecord):
            self.close_folder(record)
        elif record.number < self.resume:
            if record.is_end:
                self._add_to_tree(record, self._state.cid(record.number))
        else:
            if record.ref is not None:
                cid = self._state.cid(record.ref) if isinstance(record.ref, int) else record.ref
            else:
                symlink = record.kind is RowKind.SYMLINK
                self._progress.advance(1, 0 if symlink else record.size)
            assert isinstance(cid, bytes)
            self._hold_to_begun(record, cid)
            self._add_to_tree(record, Cid(cid))
            self._state.add(Cid(cid))

    # large files

    def _finish_leaf(self, batch: Batch, of: Leaf) -> None:
        record, content, builder, leaf = of
        job, at = batch.job, batch.place
        assert job is not None and leaf.start is not None
        start = at + leaf.head_size
        digest, view = job.digests, job.buffer[start : start + leaf.size]
        content.take(view, digest)
        if record.size > self._profile.chunk_size:
            self._hold_leaf_to_begun(record, leaf.start // self._profile.chunk_size, digest)
            self._state.add_digest(digest)
        job.buffer[at:start] = encode_head(RAW_SHA256 + digest, leaf.size)
        at = start + leaf.size
        for cid, block in builder.add(digest):
            section = encode_head(cid, len(block)) + block
            job.buffer[at : at + len(section)] = section
            at += len(section)
        assert at == batch.place + batch.size, "nodes are not as they were planned"
        is_end = leaf.start + leaf.size == record.size
        if is_end:
            content.finish()
            content.close()
            self.contents.remove(content)
            self._add_to_tree(record, builder.root)
            self._state.add(builder.root)
        self._progress.advance(int(is_end), leaf.size)

    # what a run before has begun

    def _hold_to_begun(self, record: FileRecord, cid: bytes) -> None:
        """Pass when a file is what is in the piece already, as far as it is there."""
        if record.number == self.resume and self.begun.cid not in (b"", cid):
            raise SourceFault(record, _OTHER, None)

    def _hold_leaf_to_begun(self, record: FileRecord, leaf: int, digest: bytes) -> None:
        """The same of a leaf."""
        noted = self.begun.digests[leaf * DIGEST_SIZE : (leaf + 1) * DIGEST_SIZE]
        if record.number == self.resume and noted not in (b"", digest):
            raise SourceFault(record, _OTHER, None)

    def _add_to_tree(self, record: FileRecord, cid: Cid) -> None:
        size = record.size
        if record.kind is RowKind.SYMLINK:
            size = symlink_block_size(size)
        elif size > self._profile.chunk_size:
            size = plan_file(size, self._profile).tsize
        self.tree.add(record.path, cid, size)


_OTHER = "it changed since the first part of it was packed"


@lru_cache(maxsize=4096)
def _head_start(size: int) -> bytes:
    """What stands before the CID of a leaf of that size."""
    return encode_varint(SHA256_CID_SIZE + size)
