"""Room to read into begins on a page, and is one process's own."""

import ctypes
import mmap
import os

import pytest

from holdfast.core.buffers import aligned_buffer


@pytest.mark.parametrize("size", [1, 4096, (1 << 20) + 1])
def test_a_buffer_has_its_size_and_begins_on_a_page(size: int) -> None:
    buffer = aligned_buffer(size)
    assert len(buffer) == size
    assert buffer == bytes(size)
    assert ctypes.addressof(ctypes.c_char.from_buffer(buffer)) % mmap.PAGESIZE == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_what_a_child_writes_into_it_stays_with_the_child() -> None:
    buffer = aligned_buffer(10)
    child = os.fork()
    if child == 0:
        buffer[:] = b"x" * 10
        os._exit(0)
    os.waitpid(child, 0)
    assert buffer == bytes(10)
