"""A call of hold that tests run warm is, to all who look at it, a call that was started for real."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from depth import DEEP
from warm_hold import run_program

HOLD = Path(sys.executable).with_name("hold")
ENVIRONMENT = {
    "PATH": f"{HOLD.parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TZ": "UTC",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@example.org",
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    DEEP or not sys.platform.startswith("linux"), reason="all is started for real here"
)


def _cold(*words: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [HOLD, *words], cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
        capture_output=True, check=False,
    )  # fmt: skip


def _script(folder: Path, text: str) -> list[str | Path]:
    program = folder / "script.py"
    program.write_text(text)
    return [sys.executable, program]


@pytest.mark.parametrize(
    "words", [["--version"], ["help", "get"], ["sttaus"], ["status"], ["annex"], ["get", "--x"]]
)
def test_it_says_and_gives_what_a_real_start_does(words: list[str], tmp_path: Path) -> None:
    warm, cold = run_program([HOLD, *words], tmp_path, ENVIRONMENT), _cold(*words, folder=tmp_path)
    assert (warm.returncode, warm.stdout, warm.stderr) == (
        cold.returncode, cold.stdout, cold.stderr,
    )  # fmt: skip


def test_a_data_set_is_worked_on_by_warm_and_by_real_calls_in_turn(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert run_program([HOLD, "create", "-q", data], tmp_path, ENVIRONMENT).returncode == 0
    (data / "caf\xe9").write_bytes(b"x" * 200_000)
    assert b"caf\xc3\xa9" in _cold("status", folder=data).stdout
    assert run_program([HOLD, "save", "-m", "one"], data, ENVIRONMENT).returncode == 0
    assert _cold("status", folder=data).stdout == b""
    assert run_program([HOLD, "status"], data, ENVIRONMENT).stdout == b""


def test_it_has_the_folder_environment_words_and_files_of_its_call(tmp_path: Path) -> None:
    script = _script(
        tmp_path,
        "import os, sys, time\n"
        "print(os.getcwd(), sys.argv[1:], os.environ.get('MINE'), len(os.environ), time.tzname)\n"
        "print(sys.path[0], sorted(os.listdir('/proc/self/fd'))[:3], len(sys.stdin.read()))\n"
        "print(__name__, os.getppid() != 1, sys.stdout.encoding, sys.stdout.isatty())\n",
    )
    environment = {**ENVIRONMENT, "MINE": "\udcff", "TZ": "XYZ5"}
    environment.pop("GIT_CONFIG_GLOBAL")
    call = [*script, "a b", "\udcfe"]
    warm = run_program(call, tmp_path, environment)
    cold = subprocess.run(
        call, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert cold.returncode == 0, cold.stderr
    assert warm.stdout == cold.stdout
    assert b"XYZ" in warm.stdout


@pytest.mark.parametrize(
    ("ending", "code", "errors"),
    [
        ("sys.exit(7)", 7, b""),
        ("sys.exit('said')", 1, b"said\n"),
        ("raise ValueError('why')", 1, b"ValueError: why\n"),
        ("os.kill(os.getpid(), 9)", -9, b""),
        ("os.kill(os.getpid(), 15)", -15, b""),
        ("pass", 0, b""),
    ],
)
def test_it_ends_as_a_program_does(ending: str, code: int, errors: bytes, tmp_path: Path) -> None:
    text = f"import atexit, os, sys\natexit.register(print, 'left')\nprint('began')\n{ending}\n"
    done = run_program(_script(tmp_path, text), tmp_path, ENVIRONMENT)
    assert done.returncode == code
    assert done.stderr.endswith(errors)
    assert done.stdout == (b"began\nleft\n" if code >= 0 else b"")


def test_threads_that_run_are_waited_for(tmp_path: Path) -> None:
    text = "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print(1))).start()\n"
    assert run_program(_script(tmp_path, text), tmp_path, ENVIRONMENT).stdout == b"1\n"


def test_what_takes_too_long_is_killed(tmp_path: Path) -> None:
    text = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(_script(tmp_path, text), tmp_path, ENVIRONMENT, 0.5)
    process = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(1_000_000):
            os.kill(process, 0)


def test_calls_of_several_threads_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other to be there."""
    script = _script(
        tmp_path,
        "import os, sys, time\nopen(sys.argv[1], 'w').close()\n"
        "while not os.path.exists(sys.argv[2]): time.sleep(0.01)\nprint(sys.argv[1])\n",
    )
    said: list[bytes] = []

    def call(one: str, other: str) -> None:
        said.append(run_program([*script, one, other], tmp_path, ENVIRONMENT, 30).stdout)

    threads = [threading.Thread(target=call, args=pair) for pair in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [b"a\n", b"b\n"]


def test_what_the_loader_or_python_is_told_is_told_to_a_real_start(tmp_path: Path) -> None:
    script = _script(tmp_path, "import sys\nprint(sys.flags.dev_mode)\n")
    for mode, said in (("1", b"True\n"), ("", b"False\n")):
        environment = {**ENVIRONMENT, "PYTHONDEVMODE": mode}
        assert run_program(script, tmp_path, environment).stdout == said


def test_words_too_many_for_a_message_are_told_to_a_real_start(tmp_path: Path) -> None:
    script = _script(tmp_path, "import sys\nprint(len(sys.argv))\n")
    done = run_program([*script, *["word"] * 60_000], tmp_path, ENVIRONMENT)
    assert done.stdout == b"60001\n"
