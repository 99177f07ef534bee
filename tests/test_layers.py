"""Every import stands left of its importer; packages of one layer do not know each other."""

import ast
from pathlib import Path

import pytest

import vireid

SOURCE = Path(vireid.__file__).parent
LAYERS = [
    {"errors"},
    {"types", "files", "options"},
    {"data", "networks", "losses", "matching", "clustering"},
    {"methods", "evaluation"},
    {"training", "gallery", "export"},
    {"study", "report"},
    {"service"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.stem != "__init__")


def room(path: Path) -> str:
    """The package or module directly below vireid."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Rooms of vireid that a file imports, at its top or anywhere inside."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "vireid" else [node.module]
            )
        found |= {name.split(".")[1] for name in names if name.startswith("vireid.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_what_stands_left_of_it(path: Path) -> None:
    here = room(path)
    if here == "recipes":  # package data
        assert not imported(path)
        return
    assert here in LEVEL, f"{here} has no layer"
    wrong = {name for name in imported(path) if name != here and LEVEL[name] >= LEVEL[here]}
    assert not wrong, f"{here} may not import {sorted(wrong)}"


def test_methods_do_not_import_each_other() -> None:
    from vireid.methods import names

    for name in names():
        folder = SOURCE / "methods"
        files = [path for path in (folder / f"{name}.py", *folder.glob(f"{name}/**/*.py")) if path.is_file()]
        text = "\n".join(path.read_text(encoding="utf-8") for path in files)
        others = [other for other in names() if other != name and f"vireid.methods.{other}" in text]
        assert not others, f"{name} imports {others}"


def test_no_room_is_called_utils() -> None:
    assert not [path for path in SOURCE.rglob("*") if path.stem in {"utils", "util", "helpers", "misc", "common"}]
