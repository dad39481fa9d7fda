"""The simulated rig as a process: starts, says where it is, ends with its parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulators.fault_command import main as fault_main
from simulators.link import LinkError, WorldLink
from simulators.rig import SimulatedRig, SimulatedRigError
from simulators.settings import SimulationSettings, load_simulation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    path = tmp_path / "rig.toml"
    path.write_text("[simulation]\nseed = 5\n", encoding="utf-8")
    return path


def gone(address: str) -> bool:
    """Whether nobody listens there any more, in the end."""
    host, port = address.rsplit(":", 1)
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        try:
            WorldLink(host, int(port)).close()
        except LinkError:
            return True
        time.sleep(0.05)
    return False


def test_starts_gives_addresses_and_ends(rig_file: Path) -> None:
    with SimulatedRig(rig_file) as rig:
        assert set(rig.addresses) == {"control", "cryostage", "xray_tube"}
        assert rig.link.seed == 5
        rig.clock.sleep(100.0)
        assert rig.link.truth()["now_s"] == 100.0
    assert gone(rig.addresses["control"])
    rig.close()


def test_a_vacuum_gauge_on_request(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text("[simulation]\ngauge_port = 0\n", encoding="utf-8")
    with SimulatedRig(path) as rig:
        assert rig.addresses["gauge"].startswith("tcp://127.0.0.1:")


def test_port_in_use_is_said_and_nothing_left(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = tmp_path / "rig.toml"
        path.write_text(f"[simulation]\nlinkam_port = {port}\n", encoding="utf-8")
        with pytest.raises(SimulatedRigError, match=rf"{port}.*another port"):
            SimulatedRig(path)
        result = subprocess.run(
            [sys.executable, "-m", "simulators", str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    assert result.returncode == 2
    assert str(port) in result.stderr
    assert "Traceback" not in result.stderr


PARENT = """
import sys, time
from pathlib import Path
from simulators.rig import SimulatedRig
rig = SimulatedRig(Path(sys.argv[1]))
print(rig.addresses["control"], flush=True)
time.sleep(600)
"""


def test_ends_when_its_parent_is_killed(rig_file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(rig_file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        control = parent.stdout.readline().strip()
        parent.kill()
    assert gone(control)


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a process group are POSIX")
def test_interrupt_does_not_end_it_under_a_parent(rig_file: Path) -> None:
    with SimulatedRig(rig_file) as rig:
        assert os.getpgid(rig.process_id) != os.getpgid(0)
        os.kill(rig.process_id, signal.SIGINT)
        # A signal is dealt with before much else: after many answers it has been.
        for step in range(1, 201):
            assert rig.link.advance(1.0) == step


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to one process is POSIX")
def test_by_hand_it_runs_freely_until_interrupted(rig_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "simulators", str(rig_file), "--speed", "50", "--ready-json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        addresses = json.loads(process.stdout.readline())
        link = WorldLink("127.0.0.1", int(addresses["control"].rsplit(":", 1)[1]))
        assert link.speed == 50.0
        assert link.advance(5.0) >= 5.0
        assert (
            fault_main(["set", "--control", addresses["control"], "stage.ln2_empty", "--duration-s", "1000"])
            == 0
        )
        assert link.faults.active("stage.ln2_empty")
        capsys.readouterr()
        assert fault_main(["list", "--json", "--control", addresses["control"]]) == 0
        assert json.loads(capsys.readouterr().out)[0]["name"] == "stage.ln2_empty"
        assert fault_main(["clear", "--control", addresses["control"]]) == 0
        assert link.faults.state() == []
        assert fault_main(["set", "--control", addresses["control"], "nope"]) == 2
        assert "known: " in capsys.readouterr().err
        link.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_fault_command_without_a_rig(
    rig_file: Path, capsys: pytest.CaptureFixture[str], reserve_port: Callable[[], int]
) -> None:
    port = reserve_port()
    assert fault_main(["list", "--control", f"127.0.0.1:{port}"]) == 1
    assert fault_main(["list", "--control", "nowhere"]) == 2
    assert fault_main(["list", "--rig", str(rig_file)]) == 2
    assert "control_port" in capsys.readouterr().err
    rig_file.write_text(f"[simulation]\ncontrol_port = {port}\n", encoding="utf-8")
    assert fault_main(["list", "--rig", str(rig_file)]) == 1
    assert fault_main(["names"]) == 0
    assert "tube.arc" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[simulation]\nseed = -1\n", "rig.toml:2: simulation.seed"),
        ("[simulation]\n\nsample = 3\n", "rig.toml:3: simulation.sample"),
        ("[simulation]\nsede = 1\n", "rig.toml:2: simulation.sede"),
        ("[simulation]\nlinkam_port = 70000\n", "rig.toml:2: simulation.linkam_port"),
        ('[simulation]\nfaults = [{ name = "tube.ark" }]\n', "unknown fault"),
        ("[simulation\n", "rig.toml:1: not valid TOML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"rig\.toml") as caught:
        load_simulation(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.toml: no such file"):
        load_simulation(tmp_path / "none.toml")


def test_faults_of_the_file_become_the_schedule(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(
        '[simulation]\nseed = 1\nfaults = [{ name = "tube.arc", at_s = 60, duration_s = 5 }]\n'
        '[simulation.random_faults]\nnames = ["tube.reply_lost"]\nper_hour = 2.0\n',
        encoding="utf-8",
    )
    plan = load_simulation(path).fault_plan()
    assert (plan[0].name, plan[0].at_s, plan[0].duration_s) == ("tube.arc", 60, 5)
    assert {fault.name for fault in plan[1:]} == {"tube.reply_lost"}
    assert SimulationSettings().fault_plan() == []
