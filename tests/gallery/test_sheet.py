import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vireid.errors import UsageError
from vireid.gallery import Hit, SearchResult, contact_sheet_html


def result(tmp_path: Path, *, name: str = "0001.png", query: str = "query.png", **changes: Any) -> SearchResult:
    rng = np.random.default_rng(0)
    hits = []
    for rank, identity in enumerate((7, 8, None), start=1):
        path = tmp_path / "cam" / f"{rank}-{name}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (400, 150, 3), dtype=np.uint8)).save(path)
        metadata = {} if identity is None else {"identity": identity}
        hits.append(
            Hit(rank=rank, score=1 - rank / 10, path=str(path), modality="visible", camera=2, metadata=metadata)
        )
    picture = tmp_path / query
    Image.fromarray(np.zeros((60, 30, 3), np.uint8)).save(picture)
    values: dict[str, Any] = {
        "query": str(picture),
        "modality": "infrared",
        "searched": ("visible",),
        "mode": "full",
        "note": "",
        "hits": tuple(hits),
        "picture": picture,
    }
    return SearchResult(**{**values, **changes})


def test_the_page_holds_everything_it_shows(tmp_path: Path) -> None:
    page = contact_sheet_html(result(tmp_path))
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"(https?:)?//[a-z]|<script|<link|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_thumbnails_are_small_and_described(tmp_path: Path) -> None:
    page = contact_sheet_html(result(tmp_path))
    sizes = re.findall(r'width="(\d+)" height="(\d+)" alt="([^"]*)"', page)
    assert [(width, height) for width, height, _ in sizes] == [("30", "60")] + [("60", "160")] * 3
    assert sizes[0][2] == "Query, infrared picture: query.png"
    assert sizes[1][2] == "Rank 1, score 0.900, visible picture: 1-0001.png"


def test_verdicts_are_words_and_only_where_both_are_known(tmp_path: Path) -> None:
    page = contact_sheet_html([result(tmp_path)], identities=["7"])
    assert page.count("same person</span>") == 1
    assert page.count("other person</span>") == 1
    assert "the first hit is right in 1 of 1" in page
    assert "person</span>" not in contact_sheet_html(result(tmp_path))


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = '<img src=x onerror=alert(1)>"&.png'
    page = contact_sheet_html(
        result(tmp_path, name=evil, query=f"q{evil}", note="<b>note</b>"), title="<script>alert(1)</script>"
    )
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&#34;&amp;.png" in page


def test_a_picture_that_is_gone_is_replaced_by_the_reason(tmp_path: Path) -> None:
    found = result(tmp_path)
    Path(found.hits[1].path).unlink()
    Path(found.hits[2].path).write_bytes(b"damaged")
    page = contact_sheet_html(found)
    assert page.count("<img") == 2
    assert "no such file</span>" in page
    assert "not a readable" in page


def test_queries_by_vector_array_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((20, 50, 3), np.uint8)).save(path, exif=exif)
    for picture, expected in (
        (path, 'width="20" height="50"'),
        (path.read_bytes(), 'width="20" height="50"'),
        (np.zeros((50, 20, 3), np.uint8), 'width="20" height="50"'),
        (None, "searched with a vector"),
        (b"damaged", "not a readable"),
    ):
        assert expected in contact_sheet_html(result(tmp_path, picture=picture))


def test_no_hits_and_other_modes(tmp_path: Path) -> None:
    page = contact_sheet_html(result(tmp_path, hits=(), note="no picture matches", mode="cascade:50", modality=None))
    assert "no picture matches" in page
    assert "cascade:50" in page
    assert "Query, unknown picture" in page


def test_wrong_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results"):
        contact_sheet_html([])
    with pytest.raises(UsageError, match="2 identities for 1 results"):
        contact_sheet_html([result(tmp_path)], identities=[1, 2])


def test_restricted_pictures_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    free, closed = result(tmp_path), result(tmp_path, restricted=True)
    page = contact_sheet_html(closed)
    assert "<img" not in page
    assert "data:image" not in page
    assert page.count(">restricted: not shown<") == 4
    assert "1-0001.png" in page
    assert contact_sheet_html([closed, free]).count("<img") == 4
    assert contact_sheet_html(closed, show_restricted=True) == contact_sheet_html(free)
    assert "<img" not in contact_sheet_html(result(tmp_path, restricted=True, picture=b"bytes of a picture"))
