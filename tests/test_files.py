import json
from pathlib import Path

import pytest

from vireid.files import digest_of, new_file, new_folder, write_json


def test_a_file_appears_only_when_its_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.json"
    with new_file(target) as temporary:
        temporary.write_text("1")
        assert not target.exists()
    assert target.read_text() == "1"
    assert [path.name for path in target.parent.iterdir()] == ["a.json"]


def test_a_failed_block_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), new_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").touch()
    with new_folder(target) as temporary:
        (temporary / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), new_folder(target) as temporary:
        (temporary / "half").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_survives_when_its_replacement_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "old").touch()
    rename = Path.rename

    def fail(self: Path, other: Path) -> Path:
        if other == target and not (self / "old").exists():
            raise OSError("no space left")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no space left"), new_folder(target) as temporary:
        (temporary / "new").touch()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_json_refuses_not_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"mAP": float("nan")})
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "a.json", {"mAP": 1.5})
    assert json.loads((tmp_path / "a.json").read_text()) == {"mAP": 1.5}


def test_a_digest_does_not_depend_on_the_order_of_names() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
