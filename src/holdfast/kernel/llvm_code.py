"""The kernel as code for LLVM, written by llvmlite: nodes, fr32, and the loop over subtrees.

On x86 with instructions for SHA-256 four nodes are hashed at once; elsewhere eight, one in each
lane of a vector, which LLVM makes for any processor.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .sha256_constants import INITIAL, ROUND, ROUND_OF_PADDING

I32, I64 = ir.IntType(32), ir.IntType(64)
HARDWARE_LANES, VECTOR_LANES = 4, 8

_TOP = 0x3FFFFFFFFFFFFFFF
_MASK = 0xFFFFFF3F

Value = Any


def write_module(*, hardware: bool) -> ir.Module:
    """A module with ``nodes(from, to, count)`` and ``roots(data, groups, count, scratch, to)``.

    ``nodes`` works on whole batches of lanes: it reads and writes up to the next multiple.
    """
    module = ir.Module("holdfast")
    nodes = _write_nodes(module, hardware=hardware)
    fr32 = _write_fr32(module)
    _write_roots(module, nodes, fr32)
    return module


def _function(module: ir.Module, name: str, arguments: list[Value]) -> tuple[Value, Value]:
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    return function, ir.IRBuilder(function.append_basic_block())


class _Loop:
    """A loop that counts from 0 to below a number, one step at a time."""

    def __init__(self, builder: Value, count: Value) -> None:
        self._builder, self._count = builder, count
        function, before = builder.function, builder.block
        self._body, self._after = function.append_basic_block(), function.append_basic_block()
        zero = I64(0)
        builder.cbranch(builder.icmp_unsigned("==", count, zero), self._after, self._body)
        builder.position_at_end(self._body)
        self.number = builder.phi(I64)
        self.number.add_incoming(zero, before)

    def end(self) -> None:
        builder = self._builder
        following = builder.add(self.number, I64(1))
        self.number.add_incoming(following, builder.block)
        more = builder.icmp_unsigned("<", following, self._count)
        builder.cbranch(more, self._body, self._after)
        builder.position_at_end(self._after)


def _write_nodes(module: ir.Module, *, hardware: bool) -> Value:
    pointer = I32.as_pointer()
    function, builder = _function(module, "nodes", [pointer, pointer, I64])
    source, target, count = function.args
    lanes = HARDWARE_LANES if hardware else VECTOR_LANES
    write = _write_hardware if hardware else _write_vectors
    batches = builder.udiv(builder.add(count, I64(lanes - 1)), I64(lanes))
    loop = _Loop(builder, batches)
    write(
        builder,
        builder.gep(source, [builder.mul(loop.number, I64(16 * lanes))], source_etype=I32),
        builder.gep(target, [builder.mul(loop.number, I64(8 * lanes))], source_etype=I32),
    )
    loop.end()
    builder.ret_void()
    return function


def _write_fr32(module: ir.Module) -> Value:
    """127 bytes at a time, as sixteen words of which the last is read one byte early."""
    byte = ir.IntType(8)
    function, builder = _function(module, "fr32", [byte.as_pointer(), I64.as_pointer(), I64])
    source, target, groups = function.args
    loop = _Loop(builder, groups)
    start = builder.mul(loop.number, I64(127))
    words = []
    for number in range(16):
        offset = builder.add(start, I64(8 * number if number < 15 else 119))
        place = builder.gep(source, [offset], source_etype=byte)
        word = builder.load(builder.bitcast(place, I64.as_pointer()), typ=I64)
        word.align = 1
        words.append(builder.lshr(word, I64(8)) if number == 15 else word)
    for number in range(16):
        lane, last = number // 4, number % 4 == 3
        word = words[number]
        if lane:
            low = builder.lshr(words[number - 1], I64(64 - 2 * lane))
            word = builder.or_(low, builder.shl(word, I64(2 * lane)))
        word = builder.and_(word, I64(_TOP)) if last else word
        at = builder.add(builder.mul(loop.number, I64(16)), I64(number))
        builder.store(word, builder.gep(target, [at], source_etype=I64)).align = 1
    loop.end()
    builder.ret_void()
    return function


def _write_roots(module: ir.Module, nodes: Value, fr32: Value) -> None:
    byte = ir.IntType(8)
    pointer = byte.as_pointer()
    function, builder = _function(module, "roots", [pointer, I64, I64, pointer, pointer])
    data, groups, count, scratch, target = function.args
    row = builder.bitcast(scratch, I32.as_pointer())
    loop = _Loop(builder, count)
    start = builder.mul(loop.number, builder.mul(groups, I64(127)))
    part = builder.gep(data, [start], source_etype=byte)
    builder.call(fr32, [part, builder.bitcast(scratch, I64.as_pointer()), groups])
    before, leaves = builder.block, builder.shl(groups, I64(1))
    again, done = function.append_basic_block(), function.append_basic_block()
    builder.branch(again)
    builder.position_at_end(again)
    size = builder.phi(I64)
    size.add_incoming(leaves, before)
    builder.call(nodes, [row, row, size])
    half = builder.lshr(size, I64(1))
    size.add_incoming(half, again)
    builder.cbranch(builder.icmp_unsigned("==", half, I64(0)), done, again)
    builder.position_at_end(done)
    for word in range(4):
        root = builder.bitcast(scratch, I64.as_pointer())
        value = builder.load(builder.gep(root, [I64(word)], source_etype=I64), typ=I64)
        at = builder.add(builder.mul(loop.number, I64(4)), I64(word))
        to = builder.bitcast(target, I64.as_pointer())
        builder.store(value, builder.gep(to, [at], source_etype=I64)).align = 1
    loop.end()
    builder.ret_void()


def _constant(kind: Value, values: list[int]) -> Value:
    return ir.Constant(kind, [ir.Constant(I32, value) for value in values])


def _declared(builder: Value, name: str, gives: Value, takes: list[Value]) -> Value:
    module = builder.module
    found = module.globals.get(name)
    return found or ir.Function(module, ir.FunctionType(gives, takes), name)


class _Vectors:
    """The few operations on vectors of eight lanes."""

    def __init__(self, builder: Value) -> None:
        self.builder = builder
        self.kind = ir.VectorType(I32, VECTOR_LANES)
        name = f"v{VECTOR_LANES}i32"
        kinds = [self.kind] * 3
        self._rotate = _declared(builder, f"llvm.fshl.{name}", self.kind, kinds)
        self._swap = _declared(builder, f"llvm.bswap.{name}", self.kind, [self.kind])

    def all(self, value: int) -> Value:
        return _constant(self.kind, [value] * VECTOR_LANES)

    def rotated(self, x: Value, count: int) -> Value:
        return self.builder.call(self._rotate, [x, x, self.all(32 - count)])

    def swapped(self, x: Value) -> Value:
        return self.builder.call(self._swap, [x])

    def sum(self, *values: Value) -> Value:
        total = values[0]
        for value in values[1:]:
            total = self.builder.add(total, value)
        return total

    def mixed(self, x: Value, *rotations: int, shift: int = 0) -> Value:
        parts = [self.rotated(x, count) for count in rotations]
        parts += [self.builder.lshr(x, self.all(shift))] if shift else []
        mixed = parts[0]
        for part in parts[1:]:
            mixed = self.builder.xor(mixed, part)
        return mixed


def _write_vectors(builder: Value, source: Value, target: Value) -> None:
    v = _Vectors(builder)
    words = []
    for number in range(16):
        word = ir.Constant(v.kind, ir.Undefined)
        for lane in range(VECTOR_LANES):
            place = builder.gep(source, [I64(16 * lane + number)], source_etype=I32)
            loaded = builder.load(place, typ=I32)
            loaded.align = 1
            word = builder.insert_element(word, loaded, I32(lane))
        words.append(v.swapped(word))
    state = _vector_block(v, [v.all(value) for value in INITIAL], words)
    state = _vector_block(v, state, None)
    state[7] = builder.and_(state[7], v.all(_MASK))
    for number in range(8):
        word = v.swapped(state[number])
        for lane in range(VECTOR_LANES):
            place = builder.gep(target, [I64(8 * lane + number)], source_etype=I32)
            builder.store(builder.extract_element(word, I32(lane)), place).align = 1


def _vector_block(v: _Vectors, state: list[Value], words: list[Value] | None) -> list[Value]:
    """One block; without words the padding that every node ends with."""
    builder = v.builder
    a, b, c, d, e, f, g, h = state
    for i in range(64):
        if words is None:
            added = v.all(ROUND_OF_PADDING[i])
        else:
            if i >= 16:
                early, late = words[(i - 15) & 15], words[(i - 2) & 15]
                words[i & 15] = v.sum(
                    words[i & 15], v.mixed(early, 7, 18, shift=3),
                    words[(i - 7) & 15], v.mixed(late, 17, 19, shift=10),
                )  # fmt: skip
            added = builder.add(words[i & 15], v.all(ROUND[i]))
        choice = builder.xor(g, builder.and_(e, builder.xor(f, g)))
        most = builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))
        first = v.sum(h, added, v.mixed(e, 6, 11, 25), choice)
        second = builder.add(v.mixed(a, 2, 13, 22), most)
        h, g, f, e, d, c, b, a = g, f, e, builder.add(d, first), c, b, a, builder.add(first, second)
    return [builder.add(x, y) for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


class _Sha:
    """The instructions of x86 for SHA-256. A state is two vectors: F E B A and H G D C."""

    def __init__(self, builder: Value) -> None:
        self.builder = builder
        self.kind = ir.VectorType(I32, 4)
        self._names = {
            "rnds2": _declared(builder, "llvm.x86.sha256rnds2", self.kind, [self.kind] * 3),
            "msg1": _declared(builder, "llvm.x86.sha256msg1", self.kind, [self.kind] * 2),
            "msg2": _declared(builder, "llvm.x86.sha256msg2", self.kind, [self.kind] * 2),
            "bswap": _declared(builder, "llvm.bswap.v4i32", self.kind, [self.kind]),
        }

    def do(self, name: str, *values: Value) -> Value:
        return self.builder.call(self._names[name], values)

    def shuffled(self, x: Value, y: Value, order: list[int]) -> Value:
        return self.builder.shuffle_vector(x, y, _constant(self.kind, order))

    def four_rounds(self, pair: list[Value], added: Value) -> None:
        """On a state of two vectors, in place."""
        upper = self.shuffled(added, added, [2, 3, 0, 0])
        pair[1] = self.do("rnds2", pair[1], pair[0], added)
        pair[0] = self.do("rnds2", pair[0], pair[1], upper)

    def next_words(self, m: list[Value], g: int) -> None:
        """The words four rounds later, in place of those that were used."""
        made = self.do("msg1", m[g & 3], m[(g + 1) & 3])
        made = self.builder.add(made, self.shuffled(m[(g + 2) & 3], m[(g + 3) & 3], [1, 2, 3, 4]))
        m[g & 3] = self.do("msg2", made, m[(g + 3) & 3])


def _write_hardware(builder: Value, source: Value, target: Value) -> None:
    sha = _Sha(builder)
    place = sha.kind.as_pointer()
    initial = [
        _constant(sha.kind, [INITIAL[i] for i in order]) for order in ((5, 4, 1, 0), (7, 6, 3, 2))
    ]
    states = [list(initial) for _ in range(HARDWARE_LANES)]
    messages = []
    for lane in range(HARDWARE_LANES):
        words = []
        for part in range(4):
            at = builder.gep(source, [I64(16 * lane + 4 * part)], source_etype=I32)
            loaded = builder.load(builder.bitcast(at, place), typ=sha.kind)
            loaded.align = 1
            words.append(sha.do("bswap", loaded))
        messages.append(words)
    for g in range(16):
        k = _constant(sha.kind, list(ROUND[4 * g : 4 * g + 4]))
        for state, words in zip(states, messages, strict=True):
            sha.four_rounds(state, builder.add(words[g & 3], k))
            if g < 12:
                sha.next_words(words, g)
    firsts = [[builder.add(x, y) for x, y in zip(s, initial, strict=True)] for s in states]
    states = [list(first) for first in firsts]
    for g in range(16):
        k = _constant(sha.kind, list(ROUND_OF_PADDING[4 * g : 4 * g + 4]))
        for state in states:
            sha.four_rounds(state, k)
    for lane in range(HARDWARE_LANES):
        low, high = (builder.add(x, y) for x, y in zip(states[lane], firsts[lane], strict=True))
        front, back = sha.shuffled(low, high, [3, 2, 7, 6]), sha.shuffled(low, high, [1, 0, 5, 4])
        back = builder.and_(back, _constant(sha.kind, [0xFFFFFFFF] * 3 + [_MASK]))
        for offset, value in ((0, front), (4, back)):
            to = builder.gep(target, [I64(8 * lane + offset)], source_etype=I32)
            builder.store(sha.do("bswap", value), builder.bitcast(to, place)).align = 1
