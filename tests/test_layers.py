"""The order of the rooms, and what may not be imported too early."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "drivewm").rglob("*.py"))
HEAVY = ("torch", "diffusers", "transformers", "mlflow", "onnxruntime", "cv2", "nuscenes", "matplotlib", "fastapi", "uvicorn")


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after running ``code`` in a fresh interpreter."""
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_rooms_import_only_from_rooms_before_them() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as go; go(['--no-logo'])"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "code",
    ["import drivewm", "import drivewm.cli", "import drivewm.tracking, drivewm.registry, drivewm.execution, drivewm.store"],
)
def test_these_load_nothing_heavy(code: str) -> None:
    assert not loaded_by(code) & set(HEAVY)


def test_state_and_scoring_need_no_torch() -> None:
    assert "torch" not in loaded_by("import drivewm.scenarios.sampling, drivewm.sim.engine, drivewm.metrics, drivewm.sim.raster")


def test_help_comes_at_once() -> None:
    """Under a second of processor time; the clock on the wall would measure the neighbours."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", "from drivewm.cli import main; main()", "--help"], check=True, capture_output=True, cwd=ROOT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_only_tracking_names_mlflow() -> None:
    naming = {path.name for path in SOURCES if _imports(path) & {"mlflow"}}
    assert naming == {"tracking.py"}


def test_the_ground_floor_needs_numpy_alone() -> None:
    for name in ("errors", "geometry", "datatypes", "protocols", "records"):
        foreign = _imports(ROOT / "drivewm" / f"{name}.py") - set(sys.stdlib_module_names) - {"drivewm", "numpy"}
        assert not foreign, f"{name}.py imports {foreign}"


def test_no_file_outgrows_its_idea() -> None:
    lengths = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES if path.name != "__init__.py")
    assert lengths[-1] <= 500
    assert lengths[len(lengths) // 2] <= 150


def test_content_folders_are_no_packages() -> None:
    for kind in ("scenarios", "policies", "eval"):
        packages = {path.parent for path in (ROOT / kind).rglob("__init__.py")}
        assert all("src" in path.parts for path in packages), "only the example plug-in, which is a project of its own, has one"


def _imports(path: Path) -> set[str]:
    """Top-level names a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found
