"""The rules of the house that a machine can hold: style, types, who imports whom, how long a module is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_tool(*arguments: str) -> str:
    """Run a checker of this environment in the project's folder; fail with its words if it complains."""
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=270, check=False
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    return output


def test_ruff_finds_nothing() -> None:
    run_tool("-m", "ruff", "check", "--no-cache", ".")


def test_code_is_formatted() -> None:
    run_tool("-m", "ruff", "format", "--no-cache", "--check", ".")


def test_types_hold() -> None:
    run_tool("-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache"))


def test_import_rules_hold() -> None:
    run_tool("-c", "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])")


def test_modules_stay_small() -> None:
    packages = ("labctl", "drivers", "simulators", "sequences")
    long = {
        str(path.relative_to(ROOT)): lines
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 420
    }
    assert not long, "modules that have grown past one idea"


def test_constraints_hold_versions_only() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith("#") or ("==" in line and "/" not in line and "@" not in line), (
            line
        )
