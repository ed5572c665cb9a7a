"""The house keeps its shape: one-way arrows, light imports, public lists, nothing private in the tree."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "supple").rglob("*.py"))
ROOMS = sorted({path.parent.name for path in (ROOT / "supple").glob("*/*.py")})
ARROWS: dict[str | None, set[str]] = {  # as docs/architecture.md draws them
    None: set(),
    "runtime": set(),
    "training": set(),
    "smooth": set(),
    "sampling": {"smooth"},
    "ordered": {"smooth", "sampling", "training"},
    "extraction": {"runtime", "training", "smooth"},
    "energy": {"training"},
    "adversarial": {"energy", "training"},
    "cli": {"runtime", "extraction", "ordered"},
}
EXTRAS = {
    "runtime": ["prior"],
    "training": ["keras", "learn", "torch", "tensorflow"],
    "smooth": ["keras", "learn", "torch", "tensorflow"],
    "sampling": ["keras", "learn", "torch", "tensorflow"],
    "ordered": ["keras", "learn", "torch", "tensorflow", "plot"],
    "extraction": ["prior", "keras", "learn"],
    "energy": ["keras", "learn", "plot"],
    "adversarial": ["keras", "learn", "plot"],
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = packages_distributions()  # import name -> the packages that install it

every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
every_room = pytest.mark.parametrize("name", ROOMS)


def imports(path: Path) -> Iterator[str]:
    """The full dotted names that a source file imports, wherever in it."""
    package = ".".join(path.parent.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def strangers(path: Path) -> set[str]:
    """The top-level modules, neither ours nor Python's, that a source file imports."""
    return {name.split(".")[0] for name in imports(path)} - {"supple", *sys.stdlib_module_names}


def room(path_or_name: Path | str) -> str | None:
    """The room that a file or a dotted name lies in; None for what all may use (`supple.errors`)."""
    parts = path_or_name.split(".") if isinstance(path_or_name, str) else path_or_name.relative_to(ROOT).parts
    return parts[1] if parts[0] == "supple" and len(parts) > 1 and parts[1] in ROOMS else None


def declared(*extras: str) -> set[str]:
    """The packages that pyproject.toml installs for everyone and for the given extras."""
    lines = sum((PROJECT["optional-dependencies"][extra] for extra in extras), PROJECT["dependencies"])
    return {re.match(r"[\w-]+", line)[0] for line in lines}


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh Python holds after one statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@every_source
def test_arrows_go_one_way(path: Path) -> None:
    allowed = {None, room(path), *ARROWS[room(path)]} | ({"cli"} if path.stem == "__main__" else set())
    assert [name for name in imports(path) if room(name) not in allowed] == []


@every_source
def test_every_package_used_is_declared(path: Path) -> None:
    known = declared(*EXTRAS.get(room(path) or "", []))
    assert [name for name in strangers(path) if known.isdisjoint(PACKAGES.get(name, [name]))] == []


@every_source
def test_nothing_is_pickled(path: Path) -> None:
    assert {"pickle", "cloudpickle", "dill", "joblib", "shelve"}.isdisjoint(
        name.split(".")[0] for name in imports(path)
    )
    assert not re.search(r"allow_pickle\s*=\s*True", path.read_text("utf-8"))


def test_every_file_of_a_room_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    files = [f"`{path.parent.name}/{path.name}`" for path in SOURCES if room(path) and path.name[0] != "_"]
    assert [file for file in files if f"| {file} |" not in page] == []


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("supple", {"keras", "jax", "onnxruntime", "numpy"}),
        ("supple.runtime", {"keras", "jax"}),
        ("supple.cli", {"keras", "jax", "supple.extraction", "supple.ordered"}),
        ("supple.extraction.convert", {"keras", "jax"}),  # `convert` and `evaluate` run without an extra
        ("supple.extraction.corpus", {"keras", "jax"}),
        ("supple.workers", {"keras", "jax"}),  # a worker starts in a moment
    ],
)
def test_imports_are_light(module: str, heavy: set[str]) -> None:
    assert heavy & modules_after(f"import {module}") == set()


@every_room
def test_public_list_is_what_is_exported(name: str) -> None:
    members = vars(importlib.import_module(f"supple.{name}"))
    public = {key for key in members if not key.startswith("_")} - {"annotations"}
    listed = members["__all__"]
    assert len(listed) == len(set(listed)) and set(listed) <= public
    assert {key for key in public if not isinstance(members[key], ModuleType)} <= set(listed)


def test_no_file_names_a_path_of_a_workplace() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    private = re.compile(r"(?<![\w./~-])/(?:root|work|home|Users)\b")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file()]
    # latin-1 reads any bytes, models included
    assert [str(path) for path in paths if private.search(path.read_text("latin-1"))] == []
