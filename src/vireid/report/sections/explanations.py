"""What the model looked at when it chose its first answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch
from markupsafe import Markup, escape
from numpy.typing import NDArray

from vireid.data.images import read_image, resize
from vireid.data.transforms import normalise
from vireid.methods.bundle import Preprocessing
from vireid.methods.explain import Explanation, Shown, deletion
from vireid.report.blocks import Bar, Block, Drawing, Facts, Picture, Section, Table, Text
from vireid.report.material import Material
from vireid.report.sections.ranked import HIDDEN, ranked_gallery
from vireid.types import Modality

__all__ = ["details_of", "drawn", "explained_queries", "explanations", "shown"]

Point: TypeAlias = tuple[float, float]
"""x and y in a drawn picture."""

_QUERIES = 3
_LINES = 4
_COLUMNS = 16  # of a table that can be read
_WIDTH, _HEIGHT, _GAP = 128, 256, 88  # of a drawn picture, and between two
_OFFSETS = (0, _WIDTH + _GAP)  # of the two pictures
_FOR, _AGAINST = "#e0402f", "#3b78e0"


def explanations(run: Material) -> Section:
    """Region maps for the first answers to a few searches, with how faithful they are."""
    blocks: list[Block] = [
        Text(
            "Red regions speak for the match: without them the score falls. Blue ones speak against it. Lines join "
            "regions that count together; of a method that compares parts, they join the middles of where each part "
            "was read. Deletion measures whether this is true of the model: the answer's regions are covered one after "
            "the other, and the score has to fall faster by weight than in random order."
        )
    ]
    if not run.album.shown:
        blocks.append(Text(HIDDEN))
    for place in explained_queries(run):
        query = int(run.trial.query[place])
        answer = int(ranked_gallery(run, np.array([place]), 1)[0][0, 0])
        blocks += _explained(run, query, answer)
    return Section("What matched", blocks)


def explained_queries(run: Material) -> list[int]:
    """Places among the first trial's valid queries, drawn by the seed."""
    valid = np.flatnonzero(np.asarray(run.result.trials[0].ranking.valid))
    rng = np.random.default_rng([run.seed, 1])
    return [int(place) for place in rng.permutation(valid)[:_QUERIES]]


def _explained(run: Material, query: int, answer: int) -> list[Block]:
    method = run.encoder.method
    both = _shown(run, query), _shown(run, answer)
    found = method.explain(*both)
    check = deletion(method, *both, found.candidate, draws=4, seed=run.seed)
    verdict = "right" if run.identity[query] == run.identity[answer] else "wrong"
    told = (
        f"Person {run.identity[query]} before camera {run.camera[query]}, answered with person {run.identity[answer]} "
        f"before camera {run.camera[answer]} ({verdict}); score {found.score:.3f}. Deletion: {check.area:+.3f} between "
        "random order and order of weight."
    )
    if found.parts:
        told += f" Of the score, {', '.join(f'{part.weight:+.3f} come from {part.name}' for part in found.parts)}."
    pictures = [run.album.of(str(run.dataset.images["path"].iloc[row])) for row in (query, answer)]
    maps = _maps(run, found, verdict) if run.album.shown else []
    return [drawn(found, pictures, told), *maps, *details_of(found.details)]


def drawn(found: Explanation, pictures: list[Picture], told: str) -> Drawing:
    """Query and candidate under the weights of their regions, with lines between those that count together."""
    heaviest = " and ".join(_where(weights) for weights in (found.query, found.candidate))
    return Drawing(_svg(found, pictures, f"Explanation. {told} Heaviest regions: {heaviest}."), told)


def _maps(run: Material, found: Explanation, verdict: str) -> list[Drawing]:
    """What the method computed of both pictures."""
    drawings = []
    for name, maps in found.maps.items():
        told = f"{name.capitalize()} of the same two pictures, query and answer ({verdict})."
        pair = zip((run.album.of_map(values) for values in maps), _OFFSETS, strict=True)
        drawings.append(Drawing(_pair([part for one, offset in pair for part in _picture(one, offset)], told), told))
    return drawings


def details_of(details: Mapping[str, NDArray[np.float64]]) -> list[Block]:
    """What a method adds of its own: small matrices as tables, long rows and large matrices by their extremes."""
    blocks: list[Block] = []
    extremes = {}
    for name, values in details.items():
        if values.ndim == 2 and max(values.shape) <= _COLUMNS:
            most = max(float(np.abs(values).max()), 1e-12)
            rows: list[list[str | Bar]] = [
                [str(row + 1), *(Bar(float(abs(value) / most), f"{value:.2f}") for value in line)]
                for row, line in enumerate(values)
            ]
            blocks.append(Table(name.capitalize(), ["", *(str(n + 1) for n in range(values.shape[1]))], rows))
        else:
            extremes[name] = f"{values.min():.3f} to {values.max():.3f}, mean {values.mean():.3f}"
    return [*blocks, Facts("Further", extremes)] if extremes else blocks


def _shown(run: Material, row: int) -> Shown:
    table = run.dataset.images
    pixels = read_image(str(table["path"].iloc[row]))
    return shown(pixels, Modality(table["modality"].iloc[row]), run.bundle.preprocessing, run.encoder.device)


def shown(pixels: NDArray[np.uint8], modality: Modality, preprocessing: Preprocessing, device: torch.device) -> Shown:
    """A picture (H, W, 3) uint8 as the network takes it."""
    images = torch.from_numpy(resize(pixels, preprocessing.size)).permute(2, 0, 1)[None].to(device)
    return Shown(image=normalise(images, preprocessing.mean, preprocessing.std)[0], modality=modality)


def _svg(found: Explanation, pictures: list[Picture], alt: str) -> Markup:
    """Both pictures under their regions, and lines between them."""
    most = max(float(np.abs(found.query).max()), float(np.abs(found.candidate).max()), 1e-12)
    parts = [
        _side(picture, weights / most, offset)
        for picture, weights, offset in zip(pictures, (found.query, found.candidate), _OFFSETS, strict=True)
    ]
    lines = _lines(found)
    for (x1, y1), (x2, y2), weight in lines:
        width = 1 + 2.5 * weight / max(heavy for _, _, heavy in lines)
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{_OFFSETS[1] + x2:.1f}" y2="{y2:.1f}" stroke="{_FOR}" '
            f'stroke-width="{width:.1f}" stroke-linecap="round" stroke-opacity="0.85"/>'
        )
    return _pair(parts, alt)


def _pair(parts: list[str], alt: str) -> Markup:
    """SVG of two pictures side by side."""
    size = f"0 0 {_OFFSETS[1] + _WIDTH} {_HEIGHT}"
    return Markup(f'<svg role="img" aria-label="{escape(alt)}" viewBox="{size}" class="pair">{"".join(parts)}</svg>')


def _lines(found: Explanation) -> list[tuple[Point, Point, float]]:
    """Ends in either drawn picture and positive weights: of the parts, or else of regions that count together."""
    attended = [
        (_middle(part.query), _middle(part.candidate), part.weight)
        for part in found.parts
        if part.query is not None and part.candidate is not None and part.weight > 0
    ]
    if attended:
        return attended
    return [
        (_centre(one, found.query), _centre(other, found.candidate), weight)
        for one, other, weight in found.correspondences(_LINES)
    ]


def _side(picture: Picture, weights: NDArray[np.float64], offset: int) -> str:
    rows, columns = weights.shape
    height, width = _HEIGHT / rows, _WIDTH / columns
    parts = _picture(picture, offset)
    parts += [
        f'<rect x="{offset + column * width:.1f}" y="{row * height:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{_FOR if weight > 0 else _AGAINST}" fill-opacity="{0.65 * abs(weight):.2f}"/>'
        for (row, column), weight in np.ndenumerate(weights)
    ]
    return "".join(parts)


def _picture(picture: Picture, offset: int) -> list[str]:
    frame = f'x="{offset}" y="0" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [f'<rect {frame} fill="currentColor" fill-opacity="0.08"/>']
    if picture.url:
        parts.append(f'<image {frame} preserveAspectRatio="none" href="{escape(picture.url)}"/>')
    return parts


def _centre(region: int, weights: NDArray[np.float64]) -> Point:
    row, column = divmod(region, weights.shape[1])
    return (column + 0.5) * _WIDTH / weights.shape[1], (row + 0.5) * _HEIGHT / weights.shape[0]


def _middle(attention: NDArray[np.float64]) -> Point:
    """Centre of mass of a map of attention."""
    share = attention / attention.sum()
    rows, columns = np.arange(attention.shape[0]) + 0.5, np.arange(attention.shape[1]) + 0.5
    x, y = share.sum(axis=0) @ columns, share.sum(axis=1) @ rows
    return float(x) * _WIDTH / attention.shape[1], float(y) * _HEIGHT / attention.shape[0]


def _where(weights: NDArray[np.float64]) -> str:
    """The heaviest region in words."""
    row, column = np.unravel_index(weights.argmax(), weights.shape)
    return f"row {row + 1} of {weights.shape[0]}, column {column + 1} of {weights.shape[1]}"
