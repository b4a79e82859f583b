"""Parts of the stack that need no supervisor: waits, secrets, sockets, sweeps, logs, ports."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralake_kernel.errors import ProtocolError, StackError, UsageError
from neuralake_kernel.stack import (
    BrokerSpec,
    ProcessSpec,
    ProcessStatus,
    ReadyProbe,
    RestartPolicy,
    Stack,
    StackPolicy,
    StoreSpec,
)
from neuralake_kernel.stack.logfile import open_log, rotate, tail
from neuralake_kernel.stack.procinfo import TOKEN_VARIABLE, is_alive, start_time, sweep
from neuralake_kernel.stack.protocol import bind, connect, decode, encode, is_same, unbind
from neuralake_kernel.stack.record import check_port, load_record
from neuralake_kernel.stack.spawn import Lifeline, spawn
from neuralake_kernel.stack.state import Recorded, lock_file

Wait = Callable[..., None]


@pytest.fixture
def sleeper() -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    children: list[subprocess.Popen[bytes]] = []

    def start(token: str) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-S", "-c", "import signal; print(flush=True); signal.pause()"]
        environment = {**os.environ, TOKEN_VARIABLE: token}
        child = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@given(st.integers(1, 200), st.floats(0.001, 1), st.floats(1, 60))
def test_waits_double_up_to_the_longest(failures: int, initial_s: float, max_s: float) -> None:
    policy = RestartPolicy(initial_s=initial_s, max_s=max_s)
    assert policy.wait_s(1) == initial_s
    assert policy.wait_s(failures) <= policy.wait_s(failures + 1) <= max_s
    assert policy.wait_s(failures + 1) == min(2 * policy.wait_s(failures), max_s)


texts = st.text(max_size=20)
specs = st.builds(
    ProcessSpec,
    name=st.from_regex(r"[a-z][a-z0-9_.-]{0,10}", fullmatch=True),
    kind=st.sampled_from(["service", "job"]),
    argv=st.lists(texts, min_size=1, max_size=4).map(tuple),
    env=st.dictionaries(texts, texts, max_size=3),
    ready=st.none() | st.builds(ReadyProbe, kind=st.sampled_from(["http", "tcp", "file"]), target=texts),
    final_exit_codes=st.dictionaries(st.integers(1, 255), st.sampled_from(["fatal", "fenced"]), max_size=2),
)


@given(specs, st.booleans(), texts)
def test_what_is_recorded_is_read_back(spec: ProcessSpec, wanted: bool, reason: str) -> None:
    recorded = Recorded(spec=spec, wanted=wanted, reason=reason, pid=7, pid_started="42")
    assert Recorded.from_json(decode(encode(recorded.to_json()))) == recorded


def test_a_status_of_a_newer_supervisor_is_read() -> None:
    status = ProcessStatus("minio", "service", "ready", pid=3)
    assert ProcessStatus.from_json({**status.to_json(), "mood": "fine"}) == status


@given(texts, texts)
def test_secrets_compare_as_texts_do(left: str, right: str) -> None:
    assert is_same(left, right) == (left == right and left != "")


@pytest.mark.parametrize("line", [b"{", b"[1]", b"\xff", b""])
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@pytest.mark.parametrize("depth", [1, 12])
def test_a_socket_lies_where_its_path_fits(home: Path, depth: int) -> None:
    folder = home.joinpath(*["deep-folder"] * depth)
    folder.mkdir(parents=True)
    listener, address = bind(folder)
    with listener:
        channel = connect(address, timeout_s=1)
        assert channel is not None
        channel.close()
        path = Path(address["unix"])
        assert (path.parent == folder) == (depth == 1)
        assert path.parent.stat().st_mode & 0o077 == 0 or path.parent == folder
        unbind(address, folder)
        assert not path.exists()
        assert folder.exists()
        assert path.parent.exists() == (depth == 1)


def test_loopback_serves_where_there_are_no_unix_sockets(home: Path) -> None:
    listener, address = bind(home, unix=False)
    with listener:
        assert address["tcp"][0] == "127.0.0.1"
        channel = connect(address, timeout_s=1)
        assert channel is not None
        channel.close()


def test_a_sweep_kills_ours_and_spares_strangers(sleeper: Callable[[str], "subprocess.Popen[bytes]"]) -> None:
    ours, recorded, stranger = sleeper("token-a"), sleeper("token-a"), sleeper("token-b")
    # The stranger has taken the id of one of ours: start time, token or both differ.
    old = {recorded.pid: start_time(recorded.pid), stranger.pid: start_time(stranger.pid)}
    assert sweep("token-a", old) == sorted([ours.pid, recorded.pid])
    assert ours.wait(5) == recorded.wait(5) == -signal.SIGKILL
    assert is_alive(stranger.pid)


def test_a_reused_process_id_is_told_by_its_start_time(sleeper: Callable[[str], "subprocess.Popen[bytes]"]) -> None:
    child = sleeper("token-c")
    assert sweep("another-token", {child.pid: "1"}) == []
    assert is_alive(child.pid)


def test_a_lifeline_kills_where_there_is_no_death_signal(home: Path, wait_until: Wait) -> None:
    home.mkdir()
    code = "import os, signal; open('pid', 'w').write(str(os.getpid())); signal.pause()"
    spec = ProcessSpec("sleeper", "service", (sys.executable, "-S", "-c", code))
    lifeline = Lifeline()
    log = home / "sleeper.log"
    child = spawn(spec, token="t", log=log, home=home, environment=os.environ, lifeline=lifeline)
    os.close(lifeline.read_end)
    pid_file = home / "pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), what="the program")
    pid = int(pid_file.read_text())
    assert is_alive(pid)
    os.close(lifeline.write_end)
    assert child.wait(10) == -signal.SIGKILL
    wait_until(lambda: not is_alive(pid), timeout_s=5, what="the program's death")


def test_a_lifeline_hands_on_signals_and_exit_codes(home: Path, wait_until: Wait) -> None:
    home.mkdir()
    # Blocked and waited for: a handler could run just before a `pause()`, which then waits for good.
    code = (
        "import signal, sys; stop = {signal.SIGTERM}; signal.pthread_sigmask(signal.SIG_BLOCK, stop)\n"
        "open('up', 'w').close(); signal.sigwait(stop); sys.exit(71)"
    )
    lifeline = Lifeline()
    spec = ProcessSpec("sleeper", "service", (sys.executable, "-S", "-c", code))
    child = spawn(spec, token="t", log=home / "log", home=home, environment=os.environ, lifeline=lifeline)
    os.close(lifeline.read_end)
    wait_until((home / "up").exists, what="the program")
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 71
    os.close(lifeline.write_end)


def test_a_lifeline_hands_on_a_stop_that_comes_while_the_program_starts() -> None:
    start_late = (
        "import os, signal, subprocess, sys; start = subprocess.Popen\n"
        "def stopped(*of, **named): made = start(*of, **named); os.kill(os.getpid(), signal.SIGTERM); return made\n"
        "subprocess.Popen = stopped\n"
        "from neuralake_kernel.stack.lifeline import main; sys.exit(main(sys.argv[1:]))"
    )
    read_end, write_end = os.pipe()
    program = (sys.executable, "-S", "-c", "import signal; signal.pause()")
    argv = [sys.executable, "-c", start_late, str(read_end), *program]
    # The program holds the pipe its output goes to: the end of the pipe is the end of the program.
    ended = subprocess.run(argv, pass_fds=[read_end], stdout=subprocess.PIPE, timeout=20, check=False)
    assert ended.returncode == -signal.SIGTERM
    os.close(read_end)
    os.close(write_end)


def test_a_log_is_rotated_under_its_writer(home: Path) -> None:
    log = home / "a.log"
    descriptor = open_log(log)
    try:
        for number in range(6):
            os.write(descriptor, f"line {number}\n".encode() * 10)
            assert rotate(log, max_bytes=50)
        os.write(descriptor, b"last\n")
    finally:
        os.close(descriptor)
    assert not rotate(log, max_bytes=50)
    assert sorted(path.name for path in home.iterdir()) == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert tail(log, 2) == ["line 5", "last"]
    assert tail(home / "none.log", 2) == []


def test_a_lock_has_one_holder_and_a_deadline(home: Path) -> None:
    home.mkdir()
    with (
        lock_file(home / "lock", timeout_s=1),
        pytest.raises(StackError) as busy,
        lock_file(home / "lock", timeout_s=0.05),
    ):
        pass
    assert busy.value.code == "lock-busy"
    assert busy.value.retryable
    with lock_file(home / "lock", timeout_s=0.05):
        pass


def test_ports_and_credentials_are_chosen_once_and_kept_private(home: Path) -> None:
    first = load_record(home)
    assert load_record(home) == first
    assert len(set(first.ports.values())) == 4
    assert not any(secret in repr(first) for secret in first.credentials.values())
    assert (home / "services" / "record.json").stat().st_mode & 0o777 == 0o600
    moved = load_record(home, ports={"store": 12345, "broker": None})
    assert moved.ports == {**first.ports, "store": 12345}
    assert moved.credentials == first.credentials


def test_a_damaged_record_of_credentials_is_not_replaced(home: Path) -> None:
    load_record(home)
    path = home / "services" / "record.json"
    path.write_text("{")
    with pytest.raises(StackError) as damaged:
        load_record(home)
    assert damaged.value.code == "record-damaged"
    assert path.read_text() == "{"


def test_a_taken_port_names_the_setting_that_moves_it() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StackError) as taken:
            check_port("minio", port, setting="NEURALAKE_STACK__STORE_PORT")
    assert taken.value.code == "port-in-use"
    assert "NEURALAKE_STACK__STORE_PORT" in taken.value.hint
    check_port("minio", port, setting="NEURALAKE_STACK__STORE_PORT")


def test_no_secret_is_shown() -> None:
    store = StoreSpec("s3://lake", endpoint="http://127.0.0.1:1", access_key_id="ak-id", secret_access_key="sesame")
    options = {"bootstrap.servers": "h:1", "sasl.password": "sesame", "sasl.username": "user"}
    broker = BrokerSpec("kafka", options=options)
    assert "sesame" not in repr(store) + str(store) + repr(broker) + str(broker)
    assert "h:1" in repr(broker)
    assert store.native()["secret_access_key"] == "sesame"


def test_a_store_speaks_to_each_client(tmp_path: Path) -> None:
    local = StoreSpec.local(tmp_path / "a lake")
    assert local.table_uri("openbci") == (tmp_path / "a lake" / "openbci").as_uri()
    assert local.path == tmp_path / "a lake"
    assert local.delta_options() == {}
    remote = StoreSpec(
        "s3://bucket/prefix/", endpoint="http://h:1", access_key_id="i", secret_access_key="s", allow_http=True
    )
    assert remote.table_uri("openbci") == "s3://bucket/prefix/openbci"
    assert remote.bucket == "bucket"
    assert remote.delta_options()["aws_conditional_put"] == "etag"
    assert remote.delta_options()["aws_allow_http"] == "true"
    with pytest.raises(UsageError):
        StoreSpec("http://bucket")


def test_the_embedded_stack_starts_nothing(home: Path, tmp_path: Path) -> None:
    probed: list[StoreSpec] = []
    stack = Stack(home, tools_dir=tmp_path, store_probe=probed.append)
    assert str(stack.start()) == "profile embedded: no processes"
    assert stack.store.path == home / "lake"
    assert stack.broker == BrokerSpec.journal(home / "journal")
    assert probed == [stack.store]
    assert not stack.supervisor.is_running


def test_a_profile_must_exist_and_be_complete() -> None:
    with pytest.raises(UsageError) as unknown:
        StackPolicy("cloud")
    assert unknown.value.code == "profile-unknown"
    with pytest.raises(UsageError) as incomplete:
        StackPolicy("remote")
    assert incomplete.value.code == "profile-incomplete"
    assert incomplete.value.hint
