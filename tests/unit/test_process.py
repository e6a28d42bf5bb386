"""Programs are started, streamed, limited, redacted, and ended with all their children."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
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
