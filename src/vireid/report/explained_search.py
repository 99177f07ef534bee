"""What matched in the first hits of a search, as a page."""

from __future__ import annotations

from vireid.data.images import read_image
from vireid.errors import UsageError
from vireid.gallery import SearchResult
from vireid.methods.bundle import Bundle
from vireid.methods.encoder import open_encoder
from vireid.report.album import Album
from vireid.report.blocks import Block, Section, Text
from vireid.report.page import render
from vireid.report.sections.explanations import details_of, drawn, shown
from vireid.report.sections.ranked import HIDDEN
from vireid.types import Modality

__all__ = ["explained_search"]

_HITS = 3


def explained_search(
    result: SearchResult, bundle: Bundle, *, show_restricted: bool = False, device: str | None = None
) -> str:
    """HTML with the query beside each of the first hits: which regions speak for the match, and which go together.

    result: of a search with a picture file, in a gallery of `bundle`. show_restricted: show pictures of a restricted
    gallery all the same.

    Raises:
        UsageError: the search was for a vector, or its modality is not known. ImageError: a picture is gone.
    """
    if result.modality is None or result.picture is None:
        raise UsageError("only a search for a picture can be explained; this one was for a vector")
    encoder = open_encoder(bundle, device=device)
    album = Album(shown=show_restricted or not result.restricted)
    blocks: list[Block] = [
        Text(
            "Red regions speak for the match: without them the score falls. Blue ones speak against it. Lines join "
            "regions that count together; the wider, the more."
        )
    ]
    if not album.shown:
        blocks.append(Text(HIDDEN))
    asked = shown(read_image(result.query), Modality(result.modality), bundle.preprocessing, encoder.device)
    for hit in result.hits[:_HITS]:
        candidate = shown(read_image(hit.path), Modality(hit.modality), bundle.preprocessing, encoder.device)
        found = encoder.method.explain(asked, candidate)
        told = f"Hit {hit.rank}: {hit.path}, {hit.modality}; score {found.score:.3f}."
        pictures = [album.of(path) for path in (result.query, hit.path)]
        blocks += [drawn(found, pictures, told), *details_of(found.details)]
    title = f"What matched in pictures like {result.query}"
    return render(title=title, note="Regions of the first hits.", sections=[Section("What matched", blocks)])
