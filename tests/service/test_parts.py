"""Batching, settings, and where the process listens."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vireid.errors import RecipeError, UsageError
from vireid.service.batching import Batcher
from vireid.service.server import Listening, alone_in
from vireid.service.settings import read_settings
from vireid.types import Embeddings, Modality


class Counting:
    """Embeds a picture as its first value, and says so when it is told to fail."""

    def embed(self, pictures: Sequence[Any], modality: Modality) -> Embeddings[Any]:
        assert threading.current_thread().name.startswith("embedding")
        if any(picture[0, 0, 0] == 255 for picture in pictures):
            raise ValueError("255")
        side = 0 if modality is Modality.VISIBLE else 1
        return Embeddings(np.array([[picture[0, 0, 0], side] for picture in pictures], dtype=np.float32))


def picture(value: int) -> Any:
    return np.full((2, 2, 3), value, dtype=np.uint8)


def run(asked: list[tuple[list[int], Modality]], **how: Any) -> tuple[list[Any], list[float]]:
    sizes: list[float] = []

    async def all_at_once() -> list[Any]:
        with ThreadPoolExecutor(1, "embedding") as threads:
            values = {"size": 16, "seconds": 0.05, **how}
            batcher = Batcher(Counting(), threads=threads, told=sizes.append, **values)  # type: ignore[arg-type]
            waiting = [batcher.embed([picture(value) for value in values], side) for values, side in asked]
            return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(all_at_once()), sizes


def test_queries_that_come_together_are_embedded_together_and_get_their_own_back() -> None:
    visible, infrared = Modality.VISIBLE, Modality.INFRARED
    found, sizes = run([([1], visible), ([2, 3], visible), ([4], infrared)])
    assert [one.vector.tolist() for one in found] == [[[1, 0]], [[2, 0], [3, 0]], [[4, 1]]]
    assert sorted(sizes) == [1, 3]


def test_a_full_batch_does_not_wait() -> None:
    found, sizes = run([([value], Modality.VISIBLE) for value in range(5)], size=2, seconds=0.05)
    assert [one.vector[0, 0] for one in found] == [0, 1, 2, 3, 4]
    assert sorted(sizes) == [1, 2, 2]


def test_what_goes_wrong_is_told_to_those_who_wait_and_the_next_batch_works() -> None:
    found, _ = run([([255], Modality.VISIBLE), ([1], Modality.VISIBLE), ([1], Modality.INFRARED)])
    assert [type(one) for one in found] == [ValueError, ValueError, Embeddings]


def test_settings_are_read_strictly_and_all_mistakes_are_told(tmp_path: Path) -> None:
    assert read_settings(tmp_path).database_url == f"sqlite:///{tmp_path}/state.sqlite3"
    file = tmp_path / "service.yaml"
    file.write_text("bundles: {demo: m}\nretention: {images: 7}\n")
    found = read_settings(tmp_path, {"bundles": {"other": "o"}})
    assert (sorted(found.bundles), found.retention.images, found.retention.searches) == (["demo", "other"], 7, 90)
    file.write_text("retention: {images: 0}\nlimits: {pixel: 5}\nroots: {'../x': /}\n")
    with pytest.raises(RecipeError) as caught:
        read_settings(tmp_path)
    assert all(part in str(caught.value) for part in ("retention.images", "did you mean 'pixels'", "'../x' is no name"))
    for text in ("folder: /elsewhere", "- a", "a: ["):
        file.write_text(text)
        with pytest.raises(UsageError):
            read_settings(tmp_path)


def test_others_are_spoken_to_through_tls_alone(tmp_path: Path) -> None:
    assert Listening("127.0.0.1", 80).address == "http://127.0.0.1:80"
    assert Listening("::1", 80).address == "http://[::1]:80"
    assert Listening("localhost", 80).address == "http://localhost:80"
    assert Listening("0.0.0.0", 443, tmp_path, tmp_path).address == "https://0.0.0.0:443"
    assert Listening("10.0.0.1", 80, behind_proxy=True).host == "10.0.0.1"
    for host in ("0.0.0.0", "10.0.0.1", "example.org", "::"):
        with pytest.raises(UsageError, match="clear text"):
            Listening(host, 80)
    with pytest.raises(UsageError, match="both"):
        Listening("127.0.0.1", 80, certificate=tmp_path)


def test_one_process_serves_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "s"), pytest.raises(UsageError, match="another process"), alone_in(tmp_path / "s"):
        pass
    with alone_in(tmp_path / "s"):
        pass
