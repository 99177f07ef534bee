"""Visible pictures of other people in other clothes, to start networks from where no published weights may be used."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.data.synthetic.cameras import Mount
from vireid.data.synthetic.cues import Only
from vireid.data.synthetic.engine import SynthesisReport, produce
from vireid.data.synthetic.families import PRETRAIN
from vireid.data.synthetic.knockouts import NOTHING_OUT, Knockouts
from vireid.data.synthetic.people import Group, twin_groups
from vireid.data.synthetic.plan import Plan, Shot
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.spectrum import Spectrum
from vireid.errors import UsageError
from vireid.types import Track, untracked

__all__ = ["PretrainingSettings", "synthesize_pretraining"]

WALKS = ("towards", "across", "away", "mixed")
FIRST_PLACE = 101
CAMERAS = 12
VARIETY = 4096
"""The code has bits for at least so many people: start weights should know more kinds of clothes than one test has."""

SEEN_BY = 4
"""Cameras per identity."""
MOUNTS = tuple(
    Mount(
        number=FIRST_PLACE + index,
        spectrum=Spectrum.VISIBLE,
        place=FIRST_PLACE + index,
        outdoor=index % 2 == 1,
        walk=WALKS[index % len(WALKS)],
    )
    for index in range(CAMERAS)
)


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings:
    """What decides the bytes of a pretraining set."""

    identities: int
    images_per_identity: int
    size: tuple[int, int]
    seed: int
    knockouts: Knockouts = NOTHING_OUT
    only: Only | None = None

    def __post_init__(self) -> None:
        for name, low in (("identities", 2), ("images_per_identity", 1), ("seed", 0)):
            if getattr(self, name) < low:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least {low}")
        if min(self.size) < 16:
            raise UsageError(f"the picture size is {self.size}; height and width must be at least 16 pixels")

    def head(self) -> dict[str, Any]:
        shown = {"images_per_identity": self.images_per_identity, "size": list(self.size)}
        return {
            "name": f"vireid-synthetic-pretraining-seed{self.seed}",
            "dataset": "manifest",
            "seed": self.seed,
            "knockouts": self.knockouts.model_dump(),
            "identities": self.identities,
            **shown,
        }

    def plan(self) -> Plan:
        rng = stream(self.seed, Purpose.LAYOUT, 4)
        sizes = twin_groups(self.identities) if self.identities >= 8 else [1] * self.identities
        shots: list[Shot] = []
        for person in range(self.identities):
            seen = rng.choice(CAMERAS, size=SEEN_BY, replace=False)
            for index in range(self.images_per_identity):
                mount = int(seen[index % SEEN_BY])
                name = f"images/{person:05d}/{index:03d}_c{MOUNTS[mount].number}.jpg"
                shots.append(
                    Shot(path=name, person=person, label=person, mount=mount, split="train", frame=index // SEEN_BY)
                )
        return Plan(
            groups=[Group(block=PRETRAIN, size=size) for size in sizes],
            test_identities=max(self.identities, VARIETY),
            mounts=MOUNTS,
            shots=shots,
            texts={"manifest.csv": _manifest(shots)},
        )


def synthesize_pretraining(
    out: Path,
    *,
    identities: int,
    images_per_identity: int,
    size: tuple[int, int],
    seed: int,
    workers: int = 1,
    track: Track = untracked,
) -> SynthesisReport:
    """Render visible pictures of people who share nothing with any benchmark set: no person, family or palette.

    Writes `images/` and `manifest.csv` (path, identity, camera, modality, split); all of it is training data. Four of
    twelve cameras see each identity. Resumable like `synthesize`.

    Args:
        out: folder of the set.
        identities: people.
        images_per_identity: pictures of each.
        size: picture (height, width) in pixels.
        seed: any number from 0.
        workers: processes.
        track: shows progress over pictures.

    Raises:
        UsageError: a number out of range, or `out` holds something else.
    """
    settings = PretrainingSettings(identities=identities, images_per_identity=images_per_identity, size=size, seed=seed)
    return produce(settings, out, workers=workers, track=track)


def _manifest(shots: list[Shot]) -> str:
    stream_ = io.StringIO()
    writer = csv.writer(stream_, lineterminator="\n")
    writer.writerow(["path", "identity", "camera", "modality", "split"])
    writer.writerows([shot.path, shot.label, MOUNTS[shot.mount].number, "visible", shot.split] for shot in shots)
    return stream_.getvalue()
