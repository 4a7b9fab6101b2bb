"""Where the bytes of a buffer are in memory, for code that is called through ctypes."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..wire.fr32 import Buffer


class _View(ctypes.Structure):
    """Python's own Py_buffer, whose layout is part of its stable interface since 3.11."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("object", ctypes.py_object),
        ("length", ctypes.c_ssize_t),
        ("item", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("dimensions", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_SIMPLE = 0
_CPYTHON = sys.implementation.name == "cpython"


@contextmanager
def address_of(data: Buffer) -> Iterator[int]:
    """The address of the bytes of a buffer, which stay there meanwhile. Nothing is copied.

    Only Pythons other than CPython copy, and only what may not be written.
    """
    if not len(data):
        yield 0
    elif isinstance(data, bytes):
        yield ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
    elif _CPYTHON:
        view = _View()
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(data), ctypes.byref(view), _SIMPLE)
        try:
            yield view.address
        finally:
            ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    else:
        copy = ctypes.create_string_buffer(bytes(data), len(data))
        yield ctypes.addressof(copy)
