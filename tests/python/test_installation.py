"""The wheel adds one file to ExecuTorch's tree, and taking it away leaves upstream's as it was."""

import base64
import csv
import hashlib
import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

DISTRIBUTION = importlib.metadata.distribution("openenn")
SITE = Path(sysconfig.get_path("purelib"))


def wheel_files() -> list[str]:
    installed = {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD"}
    names = [str(file) for file in DISTRIBUTION.files]
    return [name for name in names if Path(name).name not in installed and not name.endswith(".pyc")]


def test_one_file_in_executorchs_tree() -> None:
    outside = [name for name in wheel_files() if not name.startswith(("openenn/", "openenn-"))]
    assert sorted(outside) == ["../../../bin/enn", "executorch/backends/samsung/__init__.py"]
    others = [str(file) for file in importlib.metadata.distribution("executorch").files]
    assert not set(others) & set(wheel_files())


def test_no_path_of_the_build_machine() -> None:
    """Libraries are looked for relative to the file that needs them, and no file names the folders of the build."""
    programs = []
    for name in wheel_files():
        data = (SITE / name).read_bytes()
        assert str(ROOT).encode() not in data, name
        if data.startswith(b"\x7fELF"):
            programs.append(Path(name).name.split(".")[0])
            dynamic = subprocess.run(["readelf", "-d", SITE / name], capture_output=True, text=True, check=True).stdout
            paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic)
            assert paths == (["$ORIGIN/../../executorch/lib"] if "backend_enn" in name else []), name
    assert sorted(programs) == ["_core", "enn", "libexecutorch_backend_enn"]


@pytest.mark.parametrize("torch_version", ["2.13.0", "2.14.1", "2.15.0"])
def test_no_torch_is_forced(torch_version: str) -> None:
    """ExecuTorch's package names no torch; ours takes the one that is there."""
    requirements = {r.name: r.specifier for r in map(Requirement, DISTRIBUTION.requires) if r.marker is None}
    assert set(requirements) == {"executorch", "numpy", "torch", "torchao"}
    assert requirements["torch"].contains(torch_version)
    assert requirements["torchao"].contains("0.18.0")
    assert requirements["executorch"].contains("1.5.1")


def rebuild_wheel(folder: Path) -> Path:
    """The installed distribution as the wheel that it came from."""
    path = folder / f"openenn-{DISTRIBUTION.version}-py3-none-any.whl"
    info = f"openenn-{DISTRIBUTION.version}.dist-info"
    rows = io.StringIO()
    writer = csv.writer(rows)
    with zipfile.ZipFile(path, "w") as archive:
        for name in wheel_files():
            data = (SITE / name).read_bytes()
            if name == f"{info}/WHEEL":
                data = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            if name.startswith(".."):  # a program, which pip puts beside the interpreter
                name = f"openenn-{DISTRIBUTION.version}.data/scripts/{Path(name).name}"
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            writer.writerow([name, f"sha256={digest}", len(data)])
            archive.writestr(name, data)
        writer.writerow([f"{info}/RECORD", "", ""])
        archive.writestr(f"{info}/RECORD", rows.getvalue())
    return path


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A fresh environment with ExecuTorch, whose other packages are those of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for name in {Path(str(file)).parts[0] for file in importlib.metadata.distribution("executorch").files}:
        if not name.startswith(".."):
            shutil.copytree(SITE / name, site / name, copy_function=link, ignore=shutil.ignore_patterns("__pycache__"))
    (site / "executorch" / "backends" / "samsung" / "__init__.py").unlink(missing_ok=True)
    (site / "others.pth").write_text(f"{SITE}\n")
    return tmp_path / "venv"


def link(source: str, target: str) -> None:
    Path(target).symlink_to(source)


def python(environment: Path, code: str) -> str:
    command = [str(environment / "bin" / "python"), "-B", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def pip(environment: Path, *arguments: str) -> None:
    python_path = str(environment / "bin" / "python")
    options = ["--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "--python", python_path, arguments[0], *options, *arguments[1:]]
    subprocess.run(command, check=True, capture_output=True)


def tree(environment: Path) -> set[str]:
    (site,) = (environment / "lib").glob("python*/site-packages")
    return {str(path.relative_to(site)) for path in site.rglob("*") if "__pycache__" not in path.parts}


WHERE = (
    "import importlib.util as u; "
    "print(*(u.find_spec('executorch.backends.samsung.' + m).origin for m in "
    "['quantizer.qconfig', 'quantizer.annotator', 'utils.utils', 'utils.constants', '_passes.fold_qdq', "
    "'partition.enn_partitioner']), sep='\\n')"
)


def test_install_and_uninstall_leave_upstream_as_it_was(environment: Path, tmp_path: Path) -> None:
    before = tree(environment)
    upstream = python(environment, WHERE).splitlines()
    assert all("openenn" not in origin for origin in upstream)

    wheel = rebuild_wheel(tmp_path)
    pip(environment, "install", "--no-deps", "--no-compile", "--ignore-installed", str(wheel))
    origins = python(environment, WHERE).splitlines()
    ours = [str(Path(origin).parts[-3:]) for origin in origins if "/openenn/" in origin]
    assert len(ours) == 2  # quantizer.qconfig and partition.enn_partitioner; the rest stays upstream's
    assert origins[1:5] == upstream[1:5]
    names = "from executorch.runtime import Runtime; print(*Runtime.get().backend_registry.registered_backend_names)"
    quantizer = "import sys; print('openenn.quantizer' in sys.modules, openenn.EnnQuantizer.__name__)"
    registered, late = python(environment, f"import openenn; {names}; {quantizer}").splitlines()
    assert "EnnBackend" in registered
    assert late == "False EnnQuantizer"
    assert "EnnBackend" in python(environment, f"import executorch.backends.samsung.quantizer.quantizer; {names}")

    pip(environment, "uninstall", "--yes", "openenn")
    assert tree(environment) == before
    assert python(environment, WHERE).splitlines() == upstream
