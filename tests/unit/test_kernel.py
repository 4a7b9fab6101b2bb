"""Which kernel is chosen, where its library may come from, and what it does when there is none."""

from __future__ import annotations

import errno
import hashlib
import itertools
import mmap
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
import zipfile
from array import array
from pathlib import Path

import pytest

from holdfast.core.errors import IntegrityError, UsageError
from holdfast.kernel import build, choose
from holdfast.kernel.compiled import CompiledKernel, Library
from holdfast.kernel.many import look_at, md5_many, read_files, until_settled_s
from holdfast.kernel.pointers import address_of
from holdfast.kernel.side_by_side import PART_SIZE, commit_file, commit_side_by_side
from holdfast.testing.kernels import compiled_library, every_kernel
from holdfast.wire.piece import PLAIN, UNIT_HEIGHT, UNIT_SIZE, Kernel, PieceHasher, commit

NAMES = list(every_kernel())
NEEDED_TO_BUILD = {"pyproject.toml", "README.md", "LICENSE", "hatch_build.py"}


@pytest.fixture(params=NAMES)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return every_kernel()[request.param]


@pytest.fixture
def library() -> Library:
    found = compiled_library()
    if found is None:
        pytest.skip("there is no C compiler")
    return found


def test_nothing_is_ready_that_would_have_to_be_built_first(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    assert choose.is_ready({**environ, "HOLDFAST_KERNEL": "plain"})
    if build.PACKAGED.is_file():
        pytest.skip("this installation brought a library along")
    assert not choose.is_ready(environ)
    if compiled_library() is not None:
        build.library(build.cache_folder(environ))
        assert choose.is_ready(environ)


def test_every_kernel_is_right(kernel: Kernel) -> None:
    choose.check(kernel)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 32_512, 65_024, (1 << 20) - 1, 1 << 20])
def test_every_kernel_makes_the_same_commitment(kernel: Kernel, size: int) -> None:
    payload = bytes(range(251)) * (size // 251 + 1)
    assert commit(payload[:size], kernel) == commit(payload[:size])


def test_rows_of_any_length_are_hashed(kernel: Kernel) -> None:
    row = os.urandom(64 * 37)
    for count in range(38):
        assert kernel.nodes(row[: 64 * count]) == PLAIN.nodes(row[: 64 * count])


@pytest.mark.parametrize("hashed", ["sha256", "md5", "sha1"])
def test_a_block_is_hashed_beside_and_for_its_file(kernel: Kernel, hashed: str) -> None:
    makers = {"sha256": kernel.running, "md5": kernel.running_md5}
    expected = hashlib.new(hashed)
    hasher, whole = PieceHasher(kernel), makers.get(hashed, expected.copy)()
    payload = os.urandom(2_300_000)
    places = 0, 100, 128, 128, 400_064, 400_101, 1_400_037, 2_300_000
    for start, stop in itertools.pairwise(places):
        block = payload[start:stop]
        expected.update(block)
        assert hasher.update_beside(block, block, whole) == hashlib.sha256(block).digest()
        assert whole.hexdigest() == expected.hexdigest()
    assert hasher.digest() == commit(payload)


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 30_000, 200_000])
def test_a_block_may_end_before_the_tree_or_after(kernel: Kernel, count: int, size: int) -> None:
    payload, block = os.urandom(UNIT_SIZE * count), os.urandom(size)
    wanted = PLAIN.roots(payload), hashlib.sha256(block).digest()
    assert kernel.roots_beside(payload, block) == wanted
    for whole, expected in (
        (kernel.running(), hashlib.sha256(block * 2)),
        (kernel.running_md5(), hashlib.md5(block * 2, usedforsecurity=False)),
    ):
        assert kernel.roots_beside(payload, block, whole) == wanted
        whole.update(block)
        assert whole.digest() == expected.digest()


@pytest.mark.parametrize("groups", [1 << height for height in range(10)])
def test_roots_of_every_height(kernel: Kernel, groups: int) -> None:
    payload = os.urandom(127 * groups * 3)
    assert kernel.roots(payload, groups) == PLAIN.roots(payload[: 127 * groups], groups) + (
        PLAIN.roots(payload[127 * groups : 254 * groups], groups)
        + PLAIN.roots(payload[254 * groups :], groups)
    )


def test_the_block_beside_may_be_the_one_that_comes_next(kernel: Kernel) -> None:
    blocks = [os.urandom(200_000) for _ in range(4)]
    hasher = PieceHasher(kernel)
    digests = [kernel.roots_beside(b"", blocks[0])[1]]
    for now, following in zip(blocks, [*blocks[1:], b""], strict=True):
        digests.append(hasher.update_beside(now, following))
    assert digests[:4] == [hashlib.sha256(block).digest() for block in blocks]
    assert hasher.digest() == commit(b"".join(blocks))


def test_any_buffer_is_hashed_where_it_is(kernel: Kernel) -> None:
    payload = os.urandom(UNIT_SIZE * 2)
    mapped = mmap.mmap(-1, len(payload))
    mapped.write(payload)
    wanted = commit(payload)
    for buffer in (bytearray(payload), memoryview(payload), memoryview(mapped).toreadonly()):
        assert commit(buffer, kernel) == wanted
    assert commit(memoryview(payload)[1:], kernel) == commit(payload[1:])


def test_several_threads_use_one_kernel(kernel: Kernel) -> None:
    payload = os.urandom(UNIT_SIZE * 8)
    wanted, found = PLAIN.roots(payload), []

    def work() -> None:
        for _ in range(3):
            found.append(kernel.roots(payload))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 12


def test_addresses_are_of_the_bytes_themselves() -> None:
    data = b"0123456789"
    with address_of(data) as whole, address_of(memoryview(data)[3:]) as part:
        assert part == whole + 3
    array = bytearray(data)
    with address_of(array), pytest.raises(BufferError):
        array += b"more"
    array += b"more"
    with pytest.raises(BufferError), address_of(memoryview(data)[::2]):
        pass


# files by several threads


@pytest.mark.parametrize("size", [0, 1, 65_023, 65_536, PART_SIZE, PART_SIZE * 3 + 65_025])
def test_a_file_is_hashed_by_several_threads(tmp_path: Path, size: int) -> None:
    payload = os.urandom(size)
    (tmp_path / "file").write_bytes(payload)
    hasher = commit_file(os.fsencode(tmp_path / "file"), 3, choose.best(), keep=UNIT_HEIGHT)
    one = PieceHasher(choose.best(), keep=UNIT_HEIGHT)
    one.update(payload)
    assert hasher.digest() == one.digest()
    assert hasher.kept == one.kept


def test_a_reader_may_give_less_than_was_asked_for() -> None:
    payload = os.urandom(300_000)
    found = commit_side_by_side(
        lambda start, count: payload[start : start + min(count, 70_001)], len(payload), 2
    )
    assert found.digest() == commit(payload)


def test_a_file_that_became_shorter_is_told_of() -> None:
    with pytest.raises(IntegrityError):
        commit_side_by_side(lambda start, count: bytes(count)[: 100_000 - start], 300_000, 2)


# choosing


def environment(tmp_path: Path, word: str = "auto", **more: str) -> dict[str, str]:
    return {"HOLDFAST_KERNEL": word, "XDG_CACHE_HOME": str(tmp_path), **more}


@pytest.fixture
def quick_compiler(tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that gives the library there is, and counts how often it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    there = library.code._name
    script = f'#!/bin/sh\necho run >>"{folder}/runs"\n[ ! -e "{folder}/broken" ] || exit 1\n'
    script += f'while [ "$1" != -o ]; do shift; done\ncat "{there}" >"$2"\n'
    (folder / "cc").write_text(script)
    (folder / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def runs(compiler: Path) -> int:
    try:
        return (compiler / "runs").read_text().count("run")
    except FileNotFoundError:
        return 0


def test_the_library_is_built_once_and_is_ours_alone(tmp_path: Path, quick_compiler: Path) -> None:
    folder = tmp_path / "cache" / "holdfast" / "kernel"
    path = build.library(folder)
    assert build.library(folder) == path
    assert runs(quick_compiler) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o500
    assert os.listdir(folder) == [path.name]
    choose.check(CompiledKernel(Library(path)))


def test_a_library_whose_bytes_changed_is_built_anew(tmp_path: Path, quick_compiler: Path) -> None:
    folder = tmp_path / "kernel"
    path = build.library(folder)
    whole = path.read_bytes()
    path.chmod(0o700)
    path.write_bytes(whole[:1000])
    assert build.library(folder).read_bytes() == whole
    assert runs(quick_compiler) == 2


def test_a_compiler_that_failed_is_not_asked_again(tmp_path: Path, quick_compiler: Path) -> None:
    (quick_compiler / "broken").touch()
    folder = tmp_path / "kernel"
    for _ in range(3):
        with pytest.raises(build.NotBuiltError, match="ended with 1"):
            build.library(folder)
    assert runs(quick_compiler) == 1
    (quick_compiler / "broken").unlink()
    (quick_compiler / "cc").write_text((quick_compiler / "cc").read_text() + "# another one\n")
    assert build.library(folder).exists()
    assert [name for name in os.listdir(folder) if name.endswith("failed")] == []


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(
    tmp_path: Path, quick_compiler: Path, mode: int
) -> None:
    folder = tmp_path / "kernel"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(build.NotBuiltError, match="may write"):
        build.library(folder)
    assert runs(quick_compiler) == 0


def test_a_folder_below_one_open_to_all_is_not_used(tmp_path: Path, quick_compiler: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(build.NotBuiltError, match="everybody may write"):
        build.library(tmp_path / "open" / "holdfast" / "kernel")


def test_a_link_in_place_of_the_folder_is_not_followed(
    tmp_path: Path, quick_compiler: Path
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "kernel").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(build.NotBuiltError, match="something else"):
        build.library(tmp_path / "kernel")


def test_a_library_of_somebody_else_is_not_loaded(
    tmp_path: Path, quick_compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernel"
    path = build.library(folder)
    path.chmod(0o722)
    with pytest.raises(build.NotBuiltError, match="others may write"):
        build.library(folder)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(build.NotBuiltError, match="somebody else"):
        build.library(folder)


def test_without_a_compiler_something_slower_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    choice = choose.chosen(environment(tmp_path / "cache"))
    assert choice.level in ("llvm", "plain")
    assert "no C compiler" in choice.passed["compiled"]
    choose.check(choice.kernel)


def test_a_cache_that_cannot_be_made_fails_no_command(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    choice = choose.chosen(environment(tmp_path / "file"))
    assert "Not a directory" in choice.passed["compiled"]


def test_a_library_that_hashes_wrongly_is_not_used(
    tmp_path: Path, quick_compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "_SAMPLE_ROOTS", bytes(64))
    choice = choose.chosen(environment(tmp_path / "cache"))
    assert "hashes wrongly" in choice.passed["compiled"]
    assert choice.level == "plain"


def test_something_that_is_no_library_is_not_used(tmp_path: Path, quick_compiler: Path) -> None:
    (quick_compiler / "cc").write_text(
        '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho >"$2"\n'
    )
    choice = choose.chosen(environment(tmp_path / "cache"))
    assert "could not be loaded" in choice.passed["compiled"]


def test_a_python_without_ctypes_hashes_all_the_same() -> None:
    program = (
        "import sys; sys.modules['ctypes'] = None\n"
        "from array import array\n"
        "from holdfast.kernel.many import md5_many\n"
        "from holdfast.kernel.choose import chosen\n"
        "one = array('Q', [1]); assert len(md5_many(chosen().kernel, b'ab', one, one)) == 16\n"
        "print(chosen().level, *chosen().passed.values())"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("plain this Python was built without ctypes")


def test_a_user_without_a_home_gets_something_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    choice = choose.chosen({})
    assert "no home" in choice.passed["compiled"]
    assert not Path("~").exists()


def test_plain_builds_and_loads_nothing(tmp_path: Path, quick_compiler: Path) -> None:
    choice = choose.chosen(environment(tmp_path / "cache", "plain"))
    assert (choice.level, choice.passed) == ("plain", {})
    assert runs(quick_compiler) == 0
    assert not (tmp_path / "cache").exists()


def test_llvm_by_name_builds_nothing_in_c(tmp_path: Path, quick_compiler: Path) -> None:
    choice = choose.chosen(environment(tmp_path / "cache", "llvm"))
    assert choice.level == "llvm" or "llvmlite" in choice.passed["llvm"]
    assert runs(quick_compiler) == 0


def test_a_word_that_means_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="HOLDFAST_KERNEL"):
        choose.chosen(environment(tmp_path, "fastest"))


def test_two_programs_may_build_at_once(tmp_path: Path, quick_compiler: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from holdfast.kernel import build;"
        "print(build.library(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "kernel")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 1


# wheels


@pytest.mark.parametrize("wanted", ["", "1"])
def test_a_wheel_brings_the_library_when_asked_to(
    tmp_path: Path, quick_compiler: Path, library: Library, wanted: str
) -> None:
    pytest.importorskip("hatchling")
    top = Path(__file__).resolve().parents[2]
    shutil.copytree(top, tmp_path / "top", ignore=lambda _, names: set(names) - NEEDED_TO_BUILD)
    shutil.copytree(top / "src", tmp_path / "top" / "src")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = {**os.environ, "HOLDFAST_WHEEL_KERNEL": wanted}
    subprocess.run(command, cwd=tmp_path / "top", env=environment, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "holdfast/kernel/c/kernel.c" in names
    assert ("holdfast/kernel/hold_kernel.so" in names) == bool(wanted)
    assert wheel.name.endswith("-py3-none-any.whl") == (not wanted)
    assert runs(quick_compiler) == len(wanted)


def test_the_library_of_a_wheel_is_used_as_it_is(
    tmp_path: Path, quick_compiler: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "hold_kernel.so"
    shutil.copy(library.code._name, packaged)
    monkeypatch.setattr(build, "PACKAGED", packaged)
    assert build.library(tmp_path / "kernel") == packaged
    assert not (tmp_path / "kernel").exists()
    assert runs(quick_compiler) == 0


def test_many_buffers_are_hashed_as_one_by_one(kernel: Kernel) -> None:
    data = os.urandom(40_000)
    sizes = array("Q", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000, 7001, 9, *range(2000, 2023)])
    places = array("Q", [17 * number for number in range(len(sizes))])
    buffers = [data[at : at + size] for at, size in zip(places, sizes, strict=True)]
    units = os.urandom(2 * UNIT_SIZE)
    roots = PLAIN.roots(units)
    for count in [*range(20), len(sizes)]:
        some = places[:count], sizes[:count]
        expected = b"".join(hashlib.sha256(each).digest() for each in buffers[:count])
        assert kernel.roots_beside_each(b"", data, *some) == (b"", expected)
        assert kernel.roots_beside_each(units, data, *some) == (roots, expected)
        expected = b"".join(hashlib.md5(each).digest() for each in buffers[:count])
        assert md5_many(kernel, data, *some) == expected


def age(folder: Path) -> None:
    """Nothing in it was written to lately."""
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)


def test_a_file_that_may_be_written_to_at_this_moment_is_none(
    kernel: Kernel, tmp_path: Path
) -> None:
    paths = [tmp_path / name for name in ("old", "new", "later")]
    for path, back_s in zip(paths, (1.0, 0.0, -3600.0), strict=True):
        path.write_bytes(b"x")
        moment = time.time() - back_s
        os.utime(path, (moment, moment))
    ones = array("Q", [1, 1, 1])
    wrong = read_files(kernel, [*map(bytes, paths)], memoryview(bytearray(4)), ones, ones)
    assert list(wrong) == [0, 1, 1]
    assert [until_settled_s(os.stat(path)) > 0 for path in paths] == [False, True, False]


def test_files_that_are_not_as_they_should_be_are_told(kernel: Kernel, tmp_path: Path) -> None:
    for name, size in (("right", 5000), ("empty", 0), ("short", 10), ("long", 300)):
        (tmp_path / name).write_bytes(name.encode() * (size // len(name)))
    (tmp_path / "link").symlink_to("right")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    age(tmp_path)
    names = ["right", "gone", "empty", "short", "long", "link", "folder", "pipe"]
    sizes = array("Q", [5000, 7, 0, 11, 200, 5000, 0, 0])
    places = array("Q", [6000 * number for number in range(len(names))])
    base = memoryview(bytearray(6000 * len(names)))
    wrong = read_files(kernel, [bytes(tmp_path / name) for name in names], base, places, sizes)
    assert list(wrong) == [0, 1, 0, 1, 1, 1, 1, 1]
    assert base[:5000] == (tmp_path / "right").read_bytes()


def test_files_of_several_folders_are_read_each_from_its_own(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a/x", "a/y", "a/b/x", "a/b/z", "ab/x", "x", "y", "a/y", "gone/x", "gone/y"]
    for name in names[:-2]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    age(tmp_path)
    sizes = array("Q", map(len, names))
    places = array("Q", range(0, 10 * len(names), 10))
    for start in (os.fsencode(tmp_path) + b"/", b""):
        monkeypatch.chdir(tmp_path)
        base = memoryview(bytearray(10 * len(names)))
        wrong = read_files(kernel, [start + name.encode() for name in names], base, places, sizes)
        assert list(wrong) == [0] * 8 + [1, 1]
        for name, at in zip(names[:-2], places, strict=False):
            assert base[at : at + len(name)] == name.encode()


def test_what_is_in_a_folder_is_looked_at(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 70_000)
    (tmp_path / "caf\u00e9").touch(0o755)
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = [os.fsencode(path.name) for path in tmp_path.iterdir()]
    seen = [os.lstat(tmp_path / os.fsdecode(name)) for name in names]
    modes, sizes = look_at(kernel, os.fsencode(tmp_path), [*names, b"gone", b"file/x"])
    assert list(modes) == [each.st_mode for each in seen] + [0, 0]
    assert list(sizes) == [each.st_size for each in seen] + [errno.ENOENT, errno.ENOTDIR]
    assert [*map(list, look_at(kernel, os.fsencode(tmp_path), []))] == [[], []]
    nowhere = look_at(kernel, os.fsencode(tmp_path / "gone"), [b"x"])
    assert [*map(list, nowhere)] == [[0], [errno.ENOENT]]
