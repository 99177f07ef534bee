"""docs/reference.md is what the code says today, and every command has a page that tells its use."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", DOCS / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(generator: ModuleType) -> None:
    written = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert written == generator.reference(), "run: python docs/generate_reference.py"


def test_every_command_has_a_page_that_shows_it(generator: ModuleType) -> None:
    assert set(generator.commands()) == set(generator.EXPLAINED_IN), "name its page in docs/generate_reference.py"
    silent = [
        (name, page)
        for name, page in generator.EXPLAINED_IN.items()
        if f"vireid {name}" not in (DOCS / page).read_text(encoding="utf-8")
    ]
    assert not silent


def test_every_recipe_is_named_on_a_page_beside_the_reference() -> None:
    from vireid.training.recipe import recipe_names

    pages = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "methods").glob("*.md"))
    assert not [name for name in recipe_names() if f"`{name}`" not in pages]


def test_the_python_interface_shows_every_public_package() -> None:
    import vireid

    packages = {path.parent.name for path in Path(vireid.__file__).parent.glob("*/__init__.py")}
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    outside = {"cli", "recipes"}  # commands and files, in the reference
    assert not [name for name in packages - outside if f"::: vireid.{name}" not in page]


def test_the_python_interface_names_what_exists() -> None:
    import pkgutil

    names = [
        line.removeprefix("::: ") for line in (DOCS / "api.md").read_text("utf-8").splitlines() if line[:3] == ":::"
    ]
    assert names
    for name in names:
        assert pkgutil.resolve_name(name) is not None
