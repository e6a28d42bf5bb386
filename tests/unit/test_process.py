"""Programs are started, streamed, limited, redacted, and ended with all their children."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crossdock.errors import EngineError
from crossdock.process import Command, CommandTimeout, SystemRunner, redact


def python(code: str, **kwargs: object) -> Command:
    return Command((sys.executable, "-c", code), **kwargs)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_run_returns_output_and_exit_code() -> None:
    done = SystemRunner().run(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), check=False
    )
    assert (done.exit_code, done.text, done.stderr) == (3, "out\n", b"err\n")


def test_run_with_check_raises_with_the_last_lines_redacted() -> None:
    command = python("import sys; print('token s3cret', file=sys.stderr); sys.exit(1)", secrets=("s3cret",))
    with pytest.raises(EngineError) as caught:
        SystemRunner().run(command)
    assert caught.value.log == ("token ***",)


def test_input_reaches_the_program() -> None:
    assert SystemRunner().run(python("print(input()[::-1])"), input=b"abc\n").text == "cba\n"


def test_a_missing_program_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="not installed"):
        SystemRunner().run(Command(("no-such-program-here",)))


def test_a_missing_folder_is_not_mistaken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="folder"):
        SystemRunner().run(Command(("true",), cwd=tmp_path / "gone"))


def test_stream_hands_over_redacted_lines_and_splits_at_carriage_returns() -> None:
    lines: list[str] = []
    command = python("print('a\\rb\\r\\nkey=hunter2\\nlast', end='')", secrets=("hunter2",))
    assert SystemRunner().stream(command, lines.append) == 0
    assert lines == ["a", "b", "key=***", "last"]


def test_a_time_limit_ends_the_program_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
import subprocess, time
child = subprocess.Popen(["sleep", "60"])
open({str(note)!r}, "w").write(str(child.pid))
time.sleep(60)
"""
    began = time.monotonic()
    with pytest.raises(CommandTimeout, match="stopped"):
        SystemRunner().stream(python(code), lambda line: None, timeout=1.0)
    assert time.monotonic() - began < 9
    assert not alive(int(note.read_text()))


def test_run_has_a_time_limit_too() -> None:
    with pytest.raises(CommandTimeout, match="did not end within 1 s"):
        SystemRunner().run(python("import time; time.sleep(60)"), timeout=0.5 + 0.1)


def test_a_program_left_in_the_background_does_not_hold_the_stream() -> None:
    lines: list[str] = []
    code = "import subprocess; print(subprocess.Popen(['sleep', '30']).pid)"
    began = time.monotonic()
    assert SystemRunner().stream(python(code), lines.append) == 0
    assert time.monotonic() - began < 10
    os.kill(int(lines[0]), signal.SIGKILL)


def test_an_interrupt_ends_the_program_first(tmp_path: Path) -> None:
    note = tmp_path / "note"
    code = f"""
import time
print("started", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    open({str(note)!r}, "w").write("asked to end")
"""

    def interrupt_soon(line: str) -> None:
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        SystemRunner().stream(python(code), interrupt_soon)
    assert note.read_text() == "asked to end"


def test_a_program_that_ignores_the_interrupt_is_killed() -> None:
    code = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("started", flush=True)
time.sleep(60)
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossdock.process.GRACE_SECONDS", 0.3)
        began = time.monotonic()
        with pytest.raises(CommandTimeout):
            SystemRunner().stream(python(code), lambda line: None, timeout=0.5)
        assert time.monotonic() - began < 8


def test_a_service_runs_as_long_as_it_is_needed_and_its_output_is_read_all_the_time() -> None:
    lines: list[str] = []
    code = """
import subprocess, time
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
for _ in range(100_000):
    print("x" * 100)
print("hunter2 is told", flush=True)
time.sleep(60)
"""
    with SystemRunner().running(python(code, secrets=("hunter2",)), lines.append) as service:
        deadline = time.monotonic() + 20
        while (not lines or lines[-1] != "*** is told") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert lines[-1] == "*** is told"
        assert service.wait(0) is None
        assert service.how_it_ended() == "is still running"
    assert not alive(service.pid)
    assert not alive(int(lines[0]))
    assert service.how_it_ended() == "was killed by SIGTERM"


def test_a_service_is_ended_when_the_work_beside_it_fails() -> None:
    with pytest.raises(ZeroDivisionError), SystemRunner().running(python("import time; time.sleep(60)")) as service:
        raise ZeroDivisionError
    assert not alive(service.pid)


def test_a_service_that_inherited_to_ignore_the_interrupt_ends_at_once() -> None:
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    lines: list[str] = []
    with SystemRunner().running(python(code), lines.append):
        while not lines:
            time.sleep(0.02)
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_service_that_ends_by_itself_tells_how() -> None:
    with SystemRunner().running(python("import sys; print('alas'); sys.exit(7)")) as service:
        assert service.wait(20) == 7
        assert service.last_lines() == ("alas",)
        assert service.how_it_ended() == "ended with exit code 7"


def test_an_interrupt_ends_a_service() -> None:
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), SystemRunner().running(python("import time; time.sleep(60)")) as service:
        service.wait()
    assert not alive(service.pid)


def test_a_program_in_a_thread_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(EngineError, match="was stopped"):
        SystemRunner().run(python("import time; time.sleep(60)", stop=stop), timeout=60)
    assert time.monotonic() - began < 5


def test_a_program_that_could_be_stopped_gets_its_input_and_its_time_limit() -> None:
    stop = threading.Event()
    code = "import sys, time; time.sleep(0.3); sys.stdout.write(sys.stdin.read().upper())"
    assert SystemRunner().run(python(code, stop=stop), input=b"x" * 200_000).stdout == b"X" * 200_000
    with pytest.raises(CommandTimeout):
        SystemRunner().run(python("import time; time.sleep(60)", stop=stop), timeout=0.5)


def test_a_variable_can_be_kept_from_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "inherited")
    monkeypatch.setenv("REGISTRIES", "inherited")
    code = "import os; print(sorted(name for name in os.environ if name.startswith('REGISTR')))"
    command = python(code, env={"REGISTRY_OWN": "given"}, without=("REGISTRY_",))
    assert SystemRunner().run(command).text.strip() == "['REGISTRIES', 'REGISTRY_OWN']"


def test_a_command_is_shown_without_its_secrets() -> None:
    command = Command(("tool", "--token", "top secret"), env={"KEY": "top secret"}, secrets=("top secret",))
    assert "top secret" not in str(command)
    assert "top secret" not in repr(command.secrets) or "secrets" not in repr(command)


def test_redact_ignores_empty_secrets() -> None:
    assert redact("abc", ("", "b")) == "a***c"


# --- programs in this one's place -------------------------------------------------------------------------------------

PARENT = """
import os, signal, sys, time
from crossdock.process import Command, SystemRunner

def handle(number, frame):
    raise KeyboardInterrupt

for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, handle)
command = Command((sys.executable, "-c", sys.argv[1]), grace=float(sys.argv[2]))
try:
    with SystemRunner().attached(command, stdin="stdin" in sys.argv, terminal="tty" in sys.argv,
                                 on_stderr=None if "tty" in sys.argv else lambda data: os.write(2, data)) as program:
        code = program.wait()
    sys.exit(100 + code if program.asked else code)
except KeyboardInterrupt:
    sys.exit(99)
"""
READY = "import signal, sys, time; print('ready', flush=True);"


def parent(code: str, *words: str, grace: float = 5.0, **more: object) -> subprocess.Popen[bytes]:
    """A process that puts a program in its place."""
    argv = [sys.executable, "-c", PARENT, code, str(grace), *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(argv, **{**pipes, **more})  # type: ignore[call-overload, no-any-return]


def test_what_an_attached_program_writes_and_reads_is_passed_byte_for_byte() -> None:
    code = (
        "import sys; data = sys.stdin.buffer.read();"
        "sys.stdout.buffer.write(data[::-1]); sys.stderr.buffer.write(data); sys.exit(7)"
    )
    data = bytes(range(256)) * 1000
    with parent(code, "stdin", stdin=subprocess.PIPE) as process:
        assert process.communicate(data, timeout=20) == (data[::-1], data)
        assert process.returncode == 7


def test_an_attached_program_has_no_input_unless_it_is_given() -> None:
    with parent("import sys; sys.exit(len(sys.stdin.read()))", stdin=subprocess.PIPE) as process:
        process.communicate(b"x" * 50, timeout=20)
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_the_attached_programs(number: signal.Signals) -> None:
    code = f"{READY} signal.signal({int(number)}, lambda *_: sys.exit(5)); print('go', flush=True); time.sleep(60)"
    with parent(code) as process:
        assert process.stdout
        assert [process.stdout.readline(), process.stdout.readline()] == [b"ready\n", b"go\n"]
        process.send_signal(number)
        assert process.wait(20) == 105


IGNORING = (
    f"{READY} [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; print(__import__('os').getpid(), flush=True);"
)


def test_an_attached_program_that_does_not_end_in_time_is_killed() -> None:
    with parent(f"{IGNORING} time.sleep(60)", grace=0.5) as process:
        assert process.stdout
        process.stdout.readline()
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 99
    assert not alive(pid)


def test_the_second_signal_does_not_wait() -> None:
    with parent(f"{IGNORING} time.sleep(60)", grace=50.0) as process:
        assert process.stdout
        process.stdout.readline()
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 99
    assert not alive(pid)


def test_an_attached_program_ends_with_a_process_that_is_killed() -> None:
    with parent(f"{IGNORING} time.sleep(60)") as process:
        assert process.stdout
        process.stdout.readline()
        pid = int(process.stdout.readline())
        process.kill()
    assert eventually(lambda: not alive(pid))


def test_waiting_has_an_end() -> None:
    with SystemRunner().attached(python("import time; time.sleep(60)")) as program:
        assert program.wait(0.1) is None
        assert alive(program.pid)
    assert not alive(program.pid)


def test_a_terminal_is_handed_over_and_given_back() -> None:
    code = """
import os, sys, termios, tty
assert os.getpgrp() == os.tcgetpgrp(0), "not in the foreground"
tty.setraw(0)
sys.stdout.write("raw" + os.read(0, 3).hex())
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    child = os.fork()
    if child == 0:  # a session of its own, whose terminal this is
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(theirs, number)
        os.execv(sys.executable, [sys.executable, "-c", PARENT, code, "5", "stdin", "tty"])
    said = b""
    written = False
    while b"raw" not in said or len(said.partition(b"raw")[2]) < 6:
        if not written and eventually(lambda: termios.tcgetattr(theirs) != before):
            os.write(ours, b"\x03\x04\n")  # Ctrl-C is the program's too
            written = True
        said += os.read(ours, 1000)
    assert said.partition(b"raw")[2].startswith(b"03040a")
    os.waitpid(child, 0)
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


GUARDED = """
import sys, time
from crossdock.process import Command, SystemRunner
note = sys.argv[1]
write = Command(("sh", "-c", 'echo "$0" > "$WHERE"', "it's"), {"WHERE": note})
with SystemRunner().guard([Command(("touch", note)), write]):
    print("ready", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_a_guard_cleans_up_after_a_process_that_was_killed(tmp_path: Path) -> None:
    note = tmp_path / "a note"
    argv = [sys.executable, "-c", GUARDED, str(note), "60"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        process.kill()
    assert eventually(lambda: note.exists() and note.read_text() == "it's\n")


def test_a_guard_does_nothing_after_a_good_end(tmp_path: Path) -> None:
    note = tmp_path / "note"
    subprocess.run([sys.executable, "-c", GUARDED, str(note), "0"], check=True, capture_output=True, timeout=20)
    time.sleep(0.3)
    assert not note.exists()


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
