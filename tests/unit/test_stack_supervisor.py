"""The supervisor's promises, each with tiny Python programs as services and jobs."""

import contextlib
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from neuralake_kernel.errors import ProtocolError, StackError, UsageError
from neuralake_kernel.stack import ProcessSpec, ReadyProbe, RestartPolicy, Supervisor
from neuralake_kernel.stack.procinfo import is_alive, pids_with_token
from neuralake_kernel.stack.record import load_record
from neuralake_kernel.stack.state import SupervisorFiles

Wait = Callable[..., None]
SLEEPER = "import signal; signal.pause()"
# Blocked and waited for: a handler could run just before a `pause()`, which then waits for good.
AWAITS_STOP = "import signal; stop = {signal.SIGTERM}; signal.pthread_sigmask(signal.SIG_BLOCK, stop)\n"


@pytest.fixture
def supervisor(home: Path) -> Iterator[Supervisor]:
    client = Supervisor(home)
    yield client
    client.shutdown()
    token, _ = SupervisorFiles(home).read_state()
    assert list(pids_with_token(token)) == []


def python(name: str, code: str, *, kind: str = "service", **options: object) -> ProcessSpec:
    return ProcessSpec(name, kind, (sys.executable, "-S", "-c", code), **options)


def pid_of(supervisor: Supervisor, name: str) -> int:
    status = supervisor.find(name)
    assert status is not None
    assert status.pid is not None
    return status.pid


def kill_supervisor(supervisor: Supervisor, wait_until: Wait) -> None:
    pid = supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), what="the supervisor's death")


def test_a_question_starts_nothing(supervisor: Supervisor, home: Path) -> None:
    assert supervisor.status() == ()
    assert not supervisor.is_running
    assert not home.exists()


def test_a_start_is_done_once(supervisor: Supervisor) -> None:
    spec = python("sleeper", SLEEPER)
    first = supervisor.start(spec)
    again = supervisor.start(spec)
    assert first.pid == again.pid
    assert again.state == "ready"


def test_a_changed_spec_replaces_the_process(supervisor: Supervisor) -> None:
    first = supervisor.start(python("sleeper", SLEEPER))
    supervisor.start(python("sleeper", SLEEPER, env={"CHANGED": "1"}))
    status = supervisor.wait("sleeper", timeout_s=10, states=["ready"])
    assert status.pid not in {None, first.pid}
    assert status.restarts == 0


def test_it_lives_outside_the_callers_session_and_is_small(supervisor: Supervisor) -> None:
    supervisor.start(python("sleeper", SLEEPER))
    pid = supervisor.pid
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)
    # Forked twice: not the session's leader, so it can never gain a terminal, and not our child.
    assert os.getsid(pid) != pid
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert supervisor.rss_bytes is not None
    assert supervisor.rss_bytes < 60 * 2**20


def test_what_it_writes_is_private(supervisor: Supervisor, home: Path) -> None:
    supervisor.start(python("sleeper", SLEEPER, env={"PASSWORD": "hunter2"}))
    folder = home / "supervisor"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"state.json", "secret", "address.json", "socket"} <= set(modes)
    assert stat.S_IMODE((home / "logs" / "sleeper.log").stat().st_mode) == 0o600
    assert "hunter2" not in repr(python("x", SLEEPER, env={"PASSWORD": "hunter2"}))
    assert "hunter2" not in str(supervisor.status())


def test_a_crash_is_restarted_with_growing_waits(supervisor: Supervisor) -> None:
    code = "print('no such electrode', flush=True); raise SystemExit(3)"
    restart = RestartPolicy(initial_s=0.02, max_s=0.1)
    supervisor.start(python("crasher", code, restart=restart))
    status = supervisor.wait("crasher", timeout_s=0.8, states=["fatal"])
    assert status.restarts >= 3
    assert status.state in {"ready", "backoff"}
    supervisor.stop("crasher")
    started = supervisor.logs("crasher").count("no such electrode")
    # Ten without a back-off would be hundreds.
    assert 3 <= started <= 20


def test_a_crash_says_why(supervisor: Supervisor) -> None:
    code = "print('no such electrode', flush=True); raise SystemExit(3)"
    supervisor.start(python("crasher", code, restart=RestartPolicy(initial_s=30, max_s=30)))
    status = supervisor.wait("crasher", timeout_s=10, states=["backoff"])
    assert status.reason == "exit code 3; no such electrode"


@pytest.mark.parametrize(("code", "state"), [(70, "fatal"), (71, "fenced")])
def test_a_final_exit_stays_down_and_says_why(supervisor: Supervisor, wait_until: Wait, code: int, state: str) -> None:
    supervisor.start(python("keeper", SLEEPER))
    supervisor.start(python("job", f"print('epoch 7 is newer'); raise SystemExit({code})", kind="job"))
    status = supervisor.wait("job", timeout_s=10, states=["fatal", "fenced"])
    assert status.state == state
    assert "epoch 7 is newer" in status.reason
    kill_supervisor(supervisor, wait_until)
    again = supervisor.find("job")
    assert again is not None
    assert (again.state, again.reason, again.pid) == (state, status.reason, None)


def test_a_final_process_starts_again_when_asked(supervisor: Supervisor) -> None:
    supervisor.start(python("job", "raise SystemExit(70)", kind="job"))
    assert supervisor.wait("job", timeout_s=10, states=["fatal"]).state == "fatal"
    supervisor.start(python("job", SLEEPER, kind="job"))
    assert supervisor.wait("job", timeout_s=10, states=["ready"]).reason == ""


def test_a_finished_job_is_not_brought_back(supervisor: Supervisor, wait_until: Wait) -> None:
    supervisor.start(python("keeper", SLEEPER))
    supervisor.start(python("job", "print('done')", kind="job"))
    assert supervisor.wait("job", timeout_s=10, states=["stopped"]).restarts == 0
    kill_supervisor(supervisor, wait_until)
    assert [(status.name, status.state) for status in supervisor.status()] == [("keeper", "ready"), ("job", "stopped")]
    assert supervisor.logs("job").splitlines() == ["done"]


def test_children_die_with_it_and_the_next_call_brings_them_back(supervisor: Supervisor, wait_until: Wait) -> None:
    for name in ("one", "two"):
        supervisor.start(python(name, SLEEPER))
    supervisor.start(python("quiet", SLEEPER))
    supervisor.stop("quiet")
    before = {name: pid_of(supervisor, name) for name in ("one", "two")}
    kill_supervisor(supervisor, wait_until)
    wait_until(lambda: not any(map(is_alive, before.values())), timeout_s=5, what="the children's death")
    after = {status.name: status for status in supervisor.status()}
    assert {name: status.state for name, status in after.items()} == {
        "one": "ready",
        "two": "ready",
        "quiet": "stopped",
    }
    assert all(after[name].pid not in {None, pid} for name, pid in before.items())


def test_clients_that_find_it_dead_at_once_start_one(supervisor: Supervisor, home: Path, wait_until: Wait) -> None:
    supervisor.start(python("sleeper", SLEEPER))
    kill_supervisor(supervisor, wait_until)
    seen: list[tuple[int | None, int | None]] = []

    def ask() -> None:
        client = Supervisor(home)
        status = client.find("sleeper")
        seen.append((client.pid, status.pid if status else None))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def test_a_stop_ends_in_sigkill_and_takes_the_whole_group(supervisor: Supervisor, home: Path, wait_until: Wait) -> None:
    # The child of the process ignores SIGTERM as well and writes its id where the test reads it.
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pid = os.fork()\n"
        "open('grandchild', 'w').write(str(os.getpid())) if pid == 0 else None\n"
        "while True: signal.pause()"
    )
    path = home / "grandchild"
    supervisor.start(python("stubborn", code, stop_timeout_s=0.3))
    wait_until(lambda: path.exists() and path.read_text(), what="the grandchild")
    child, grandchild = pid_of(supervisor, "stubborn"), int(path.read_text())
    assert supervisor.stop("stubborn").state == "stopped"
    wait_until(lambda: not is_alive(child) and not is_alive(grandchild), timeout_s=5, what="the group's death")


def test_a_stop_lets_a_process_finish(supervisor: Supervisor, wait_until: Wait) -> None:
    code = AWAITS_STOP + "print('up', flush=True); signal.sigwait(stop); print('flushed', flush=True)"
    supervisor.start(python("polite", code, kind="job"))
    wait_until(lambda: "up" in supervisor.logs("polite"), what="the program")
    assert supervisor.stop("polite").state == "stopped"
    assert supervisor.logs("polite").splitlines() == ["up", "flushed"]


def test_shutdown_stops_jobs_before_the_services_they_use(supervisor: Supervisor, home: Path, wait_until: Wait) -> None:
    code = AWAITS_STOP + "open(NAME, 'w').close(); signal.sigwait(stop); open('order', 'a').write(NAME)"
    supervisor.start(python("store", f"NAME = 's'\n{code}"))
    supervisor.start(python("job", f"NAME = 'j'\n{code}", kind="job"))
    wait_until(lambda: (home / "s").exists() and (home / "j").exists(), what="both programs")
    supervisor.shutdown()
    assert (home / "order").read_text() == "js"
    assert not supervisor.is_running
    assert {status.state for status in supervisor.status()} == {"stopped"}
    assert not supervisor.is_running


def test_a_process_is_ready_when_its_probe_says_so(supervisor: Supervisor, home: Path, wait_until: Wait) -> None:
    code = (
        "import signal, time, pathlib\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
        "open('ready', 'w'); signal.pause()"
    )
    supervisor.start(python("slow", code, ready=ReadyProbe("file", str(home / "ready"))))
    assert supervisor.wait("slow", timeout_s=0.2).state == "starting"
    (home / "go").touch()
    assert supervisor.wait("slow", timeout_s=10).state == "ready"


def test_scratch_is_emptied_before_each_start(supervisor: Supervisor, home: Path, wait_until: Wait) -> None:
    scratch = home / "scratch"
    code = "import os, signal; open(f'scratch/{os.getpid()}', 'w'); signal.pause()"
    supervisor.start(python("messy", code, scratch=str(scratch)))
    # The folder itself is away for a moment while it is emptied.
    wait_until(lambda: scratch.is_dir() and any(scratch.iterdir()), what="the first file")
    first = pid_of(supervisor, "messy")
    os.kill(first, signal.SIGKILL)

    def is_second() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return [path.name for path in scratch.iterdir()] not in ([], [str(first)])
        return False

    wait_until(is_second, what="the second file")
    assert [path.name for path in scratch.iterdir()] == [str(pid_of(supervisor, "messy"))]


def test_a_program_that_is_not_there_is_named(supervisor: Supervisor) -> None:
    supervisor.start(
        ProcessSpec("ghost", "service", ("/nowhere/minio",), restart=RestartPolicy(initial_s=30, max_s=30))
    )
    status = supervisor.wait("ghost", timeout_s=5, states=["backoff"])
    assert status.reason == "cannot run /nowhere/minio: No such file or directory"


def test_names_that_are_not_known_or_not_allowed(supervisor: Supervisor) -> None:
    supervisor.start(python("sleeper", SLEEPER))
    with pytest.raises(StackError) as unknown:
        supervisor.stop("slepper")
    assert unknown.value.code == "process-unknown"
    with pytest.raises(StackError) as running:
        supervisor.remove("sleeper")
    assert running.value.code == "process-running"
    with pytest.raises(UsageError):
        python("../sleeper", SLEEPER)
    supervisor.stop("sleeper")
    supervisor.remove("sleeper")
    assert supervisor.status() == ()


def test_a_stranger_without_the_secret_is_refused(supervisor: Supervisor, home: Path) -> None:
    supervisor.start(python("sleeper", SLEEPER))
    secret = home / "supervisor" / "secret"
    kept = secret.read_text()
    secret.write_text("guess")
    with pytest.raises(ProtocolError) as refused:
        supervisor.status()
    assert refused.value.code == "supervisor-secret"
    assert kept not in str(refused.value)
    secret.write_text(kept)
    assert supervisor.find("sleeper") is not None


def test_a_damaged_record_is_an_error_with_a_next_step(supervisor: Supervisor, home: Path) -> None:
    supervisor.start(python("sleeper", SLEEPER))
    supervisor.shutdown()
    state = home / "supervisor" / "state.json"
    kept = state.read_text()
    state.write_text(kept[: len(kept) // 2])
    with pytest.raises(StackError) as damaged:
        supervisor.status()
    assert damaged.value.code == "state-damaged"
    assert damaged.value.hint
    state.write_text(kept)


def test_it_leaves_with_its_folder(supervisor: Supervisor, home: Path, wait_until: Wait) -> None:
    supervisor.start(python("sleeper", SLEEPER))
    supervisor_pid, pid = supervisor.pid, pid_of(supervisor, "sleeper")
    assert supervisor_pid is not None
    (home / "supervisor" / "state.json").unlink()
    wait_until(lambda: not is_alive(supervisor_pid) and not is_alive(pid), timeout_s=10, what="both to leave")


def test_a_signalled_supervisor_leaves_and_is_resumed(supervisor: Supervisor, wait_until: Wait) -> None:
    supervisor.start(python("sleeper", SLEEPER))
    pid = supervisor.pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), what="its leave")
    status = supervisor.find("sleeper")
    assert status is not None
    assert status.state == "ready"


def test_probes_and_clients_do_not_take_each_others_place(supervisor: Supervisor) -> None:
    # Probes open and close sockets all the time, clients too: a descriptor is reused within one turn of the loop.
    with socket.socket() as silent, socket.socket() as closed:
        for holder in (silent, closed):
            holder.bind(("127.0.0.1", 0))
        silent.listen(512)
        http, tcp = (f"127.0.0.1:{holder.getsockname()[1]}" for holder in (silent, closed))
        for number in range(4):
            supervisor.start(python(f"refused{number}", SLEEPER, ready=ReadyProbe("tcp", tcp)))
            supervisor.start(python(f"silent{number}", SLEEPER, ready=ReadyProbe("http", f"http://{http}/")))
        pid = supervisor.pid
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert {status.state for status in supervisor.status()} == {"starting"}
        assert supervisor.pid == pid


def test_an_http_probe_wants_a_good_answer(supervisor: Supervisor, home: Path) -> None:
    code = (
        "import http.server, pathlib, sys\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200 if pathlib.Path('go').exists() and self.path == '/ready' else 503)\n"
        "        self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()"
    )
    port = load_record(home).ports["store"]
    spec = python("web", code, ready=ReadyProbe("http", f"http://127.0.0.1:{port}/ready"))
    supervisor.start(replace(spec, argv=(*spec.argv, str(port))))
    assert supervisor.wait("web", timeout_s=1).state == "starting"
    (home / "go").touch()
    assert supervisor.wait("web", timeout_s=10).state == "ready"
