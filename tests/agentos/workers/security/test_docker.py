"""What may run in a Docker sandbox, and its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentos.workers.security.docker import DockerExec, run_arguments, timeout_of
from iii_sdk import BusError, Forbidden, InvalidInput


def arguments(root: Path = Path("/srv"), **fields: object) -> list[str]:
    request = DockerExec(**{"command": ["ls", "-l"], **fields})  # type: ignore[arg-type]
    return run_arguments(request, "agentos-sandbox-12345678", root)


def option(args: list[str], name: str) -> str:
    return args[args.index(name) + 1]


def test_the_whole_command_line() -> None:
    assert " ".join(arguments()) == (
        "run --rm --name agentos-sandbox-12345678 --memory 256m --cpus 1.0 --network none "
        "--pids-limit 256 --read-only --security-opt no-new-privileges --cap-drop ALL "
        "--user 65534:65534 --tmpfs /tmp:size=64m ubuntu:22.04 ls -l"
    )


def test_workspace_and_environment(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    args = arguments(tmp_path, workspace_path=str(tmp_path / "w"), env=["A=1", "B=x=y"])
    assert option(args, "-v") == f"{tmp_path}/w:/workspace:rw"
    assert option(args, "-w") == "/workspace"
    assert [args[i + 1] for i, arg in enumerate(args) if arg == "-e"] == ["A=1", "B=x=y"]


def test_security_case_14_command() -> None:
    with pytest.raises(InvalidInput, match="command must not be empty"):
        arguments(command=[])


@pytest.mark.parametrize("image", ["alpine:latest", "ubuntu:latest", "ubuntu", "x/ubuntu:22.04"])
def test_security_case_14_image(image: str) -> None:
    with pytest.raises(Forbidden, match=f"Docker image not allowed: {image}. Allowed: .agentos"):
        arguments(image=image)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/", "/home/u/../../etc", "//", "/var", "relative", "/srv/../srv/a"]
)
def test_security_case_14_workspace(path: str) -> None:
    with pytest.raises(Forbidden, match="Blocked workspace path"):
        arguments(Path("/"), workspace_path=path)


def test_a_workspace_elsewhere_or_behind_a_link_is_blocked(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    (root / "out").symlink_to(tmp_path)
    for path in (tmp_path, root / "link", root / "out"):
        with pytest.raises(Forbidden, match="Blocked workspace path"):
            arguments(root, workspace_path=str(path))


@pytest.mark.parametrize("item", ["docker_host=x", "HOME=/root", "path=1", "AWS_KEY=1", "=x"])
def test_security_case_14_blocked_environment(item: str) -> None:
    with pytest.raises(Forbidden, match="Blocked env var"):
        arguments(env=[item])


def test_security_case_14_environment_without_value() -> None:
    with pytest.raises(InvalidInput, match="Env var must contain '=': SAFE_VAR"):
        arguments(env=["SAFE_VAR"])


def test_network() -> None:
    assert option(arguments(network_mode="bridge"), "--network") == "bridge"
    for mode in ("host", "container:x", ""):
        with pytest.raises(Forbidden, match="Network mode"):
            arguments(network_mode=mode)


@pytest.mark.parametrize(
    ("given", "used"), [("512m", "512m"), ("64g", "2g"), ("2G", "2G"), ("1b", "6291456b")]
)
def test_memory_is_clamped(given: str, used: str) -> None:
    assert option(arguments(memory_limit=given), "--memory") == used


@pytest.mark.parametrize(("given", "used"), [("0.5", "0.5"), ("64", "4.0"), (2, "2")])
def test_cpus_are_clamped(given: str | float, used: str) -> None:
    assert option(arguments(cpu_limit=given), "--cpus") == used


@pytest.mark.parametrize(
    "fields", [{"memory_limit": "lots"}, {"cpu_limit": "0"}, {"cpu_limit": "nan"}]
)
def test_limits_that_are_none(fields: dict[str, str]) -> None:
    with pytest.raises(BusError, match=r"\$\."):
        arguments(**fields)


def test_time_is_clamped() -> None:
    assert [timeout_of(DockerExec(timeout_secs=t)) for t in (-1, 0, 30, 9999)] == [1, 1, 30, 600]
