"""Queries that arrive together are embedded together: a network takes sixteen pictures hardly slower than one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vireid.types import Embeddings, Modality

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = ["Batcher"]

_Pictures = Sequence[NDArray[np.uint8]]
_Waiting = tuple[_Pictures, "asyncio.Future[Embeddings[NDArray[Any]]]"]


class Batcher:
    """Gathers queries of one modality until there are `size` pictures or the first has waited `seconds`.

    One event loop uses it. told: hears how many pictures were embedded at once.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        size: int,
        seconds: float,
        threads: ThreadPoolExecutor,
        told: Callable[[float], object],
    ) -> None:
        self._told = told
        self._encoder = encoder
        self._size = size
        self._seconds = seconds
        self._threads = threads
        self._waiting: dict[Modality, list[_Waiting]] = {}
        self._timers: dict[Modality, asyncio.TimerHandle] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def embed(self, pictures: _Pictures, modality: Modality) -> Embeddings[NDArray[Any]]:
        """Embeddings of the pictures, as the encoder gives them."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Embeddings[NDArray[Any]]] = loop.create_future()
        waiting = self._waiting.setdefault(modality, [])
        waiting.append((pictures, future))
        if sum(len(some) for some, _ in waiting) >= self._size:
            self._flush(modality)
        elif len(waiting) == 1:
            self._timers[modality] = loop.call_later(self._seconds, self._flush, modality)
        return await future

    def _flush(self, modality: Modality) -> None:
        timer = self._timers.pop(modality, None)
        if timer is not None:
            timer.cancel()
        waiting = self._waiting.pop(modality, [])
        if waiting:
            task = asyncio.create_task(self._run(waiting, modality))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, waiting: Sequence[_Waiting], modality: Modality) -> None:
        pictures = [picture for some, _ in waiting for picture in some]
        self._told(len(pictures))
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, self._encoder.embed, pictures, modality)
        except Exception as error:  # noqa: BLE001 (whatever it is, it belongs to those who wait)
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for some, future in waiting:
            if not future.done():  # whoever asked may have gone
                future.set_result(found[start : start + len(some)])
            start += len(some)
