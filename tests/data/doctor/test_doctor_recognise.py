"""Which data set lies where, also when folders are missing or one too deep."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.data.doctor import examine
from vireid.data.doctor.recognise import recognise
from vireid.errors import DataError, UsageError

Copy = Callable[[Path], Path]


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name / "x").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (("cam1", "cam3"), "sysu"),
        (("exp", "cam6"), "sysu"),
        (("Visible", "idx"), "regdb"),
        (("visible", "thermal"), "regdb"),
        (("vis", "test_nir"), "llcm"),
        (("test_vis", "idx"), "llcm"),
    ],
)
def test_two_folders_are_enough(tmp_path: Path, names: tuple[str, ...], layout: str) -> None:
    assert recognise(folders(tmp_path / "some where", *names)).layout == layout


@pytest.mark.parametrize("layout", ["sysu", "regdb", "llcm"])
def test_a_set_one_or_two_folders_down_is_examined_and_told(
    layout: str, copy: Copy, request: pytest.FixtureRequest
) -> None:
    root = copy(request.getfixturevalue(f"tiny_{layout}"))
    for given in (root.parent, root.parent.parent):
        diagnosis = examine(given, pictures=False)
        assert diagnosis.root == root
        assert diagnosis.fingerprint
        [finding] = diagnosis.findings
        assert finding.code == "layout.root"
        assert "one folder too deep" in finding.cause
        assert str(root) in finding.remedy


@pytest.mark.parametrize(
    ("layout", "part"), [("sysu", "cam1"), ("sysu", "exp"), ("regdb", "Visible"), ("llcm", "test_vis")]
)
def test_a_folder_of_a_set_leads_to_the_set(layout: str, part: str, copy: Copy, request: pytest.FixtureRequest) -> None:
    root = copy(request.getfixturevalue(f"tiny_{layout}"))
    place = recognise(root / part)
    assert (place.layout, place.root) == (layout, root)
    assert "part of the data set" in place.findings[0].cause


def test_a_tie_asks_for_the_layout(tmp_path: Path) -> None:
    root = folders(tmp_path / "set", "cam1", "cam2", "Visible", "Thermal")
    with pytest.raises(UsageError, match=r"cannot tell whether .* holds SYSU-MM01 or RegDB; say which with --layout"):
        recognise(root)
    assert recognise(root, "regdb").layout == "regdb"


def test_what_a_set_states_of_itself_decides(tiny_llcm: Path, copy: Copy) -> None:
    root = copy(tiny_llcm)
    folders(root, "cam1", "cam2", "cam3", "cam4", "cam5", "cam6", "exp")
    assert recognise(root).layout == "llcm"


@pytest.mark.parametrize("pictures", [1, 2])
def test_several_sets(tiny_sysu: Path, tiny_llcm: Path, copy: Copy, pictures: int) -> None:
    copy(tiny_sysu)
    with pytest.raises(DataError, match=r"holds several data sets \(tiny-llcm, tiny-sysu\); give that of one"):
        recognise(copy(tiny_llcm).parent)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none does not exist; give the folder"):
        recognise(tmp_path / "none")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty; unpack the data set there"):
        recognise(tmp_path)


def test_an_archive(tmp_path: Path) -> None:
    (tmp_path / "LLCM.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="is an archive; unpack it"):
        recognise(tmp_path / "LLCM.zip")


def test_another_folder(tmp_path: Path) -> None:
    folders(tmp_path, "exp", "notes")  # `exp` alone is the folder of many a project
    with pytest.raises(DataError, match=r"no data set that is known \(SYSU-MM01: cam1, .*it holds exp, notes"):
        recognise(tmp_path)


def test_another_layout_than_said(tiny_sysu: Path) -> None:
    with pytest.raises(DataError, match="does not look like LLCM but like SYSU-MM01: say --layout sysu"):
        recognise(tiny_sysu, "llcm")


def test_an_unknown_layout(tiny_sysu: Path) -> None:
    with pytest.raises(UsageError, match="unknown layout 'sisu'; did you mean 'sysu'"):
        recognise(tiny_sysu, "sisu")


def test_a_table_of_pictures_is_sent_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,identity\n")
    with pytest.raises(DataError, match=r"vireid data show .* --kind manifest"):
        recognise(tmp_path)


def test_links_to_folders_are_followed_once(tiny_sysu: Path, tmp_path: Path) -> None:
    root = tmp_path / "linked"
    root.mkdir()
    for path in tiny_sysu.iterdir():
        (root / path.name).symlink_to(path)
    (root / "cam1_again").symlink_to(root)
    diagnosis = examine(root, pictures=False)
    assert diagnosis.healthy
    assert diagnosis.pictures == 448
    shutil.rmtree(root)


def test_no_threads(tiny_sysu: Path) -> None:
    with pytest.raises(UsageError, match="workers is 0"):
        examine(tiny_sysu, workers=0)
