"""What requests and answers look like. Unknown members are refused; texts are single lines."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vireid.service.declaration import Until
from vireid.service.marks import Standing, Verdict
from vireid.service.rights import Role
from vireid.service.settings import NAME
from vireid.types import Modality

__all__ = [
    "WARNING",
    "AlarmOut",
    "AuditOut",
    "Caller",
    "Cameras",
    "Count",
    "ExplanationOut",
    "GalleryChange",
    "GalleryIn",
    "GalleryOut",
    "HitOut",
    "ImageOut",
    "ImportIn",
    "ImportRow",
    "JobOut",
    "KeyIn",
    "KeyNew",
    "KeyOut",
    "Line",
    "MarkIn",
    "MarkOut",
    "MigrationIn",
    "Name",
    "Page",
    "PairOut",
    "PartOut",
    "PurposeIn",
    "PurposeOut",
    "Receipt",
    "SearchOut",
    "SimilarIn",
    "SubjectIn",
    "TrainingMark",
    "VerificationOut",
    "VerifiedOut",
]

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Name = Annotated[str, StringConstraints(pattern=NAME)]
Cameras = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Days = Annotated[int, Field(ge=1, le=3650)]
ItemT = TypeVar("ItemT")

WARNING = (
    "A score orders a gallery by similarity; it is no probability and no identification. There is a first hit also "
    "when the person is not in the gallery."
)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[ItemT]):
    """One page; `next` is the `after` of the page that follows, null on the last."""

    items: list[ItemT]
    next: str | None


class Caller(_Out):
    key: str
    holder: str
    role: Role
    galleries: list[str]
    exports: bool


class GalleryIn(_In):
    id: Name = Field(examples=["entrance"])
    bundle: Name = Field(description="a model of the operator's configuration", examples=["demo"])
    restricted: bool = Field(
        False, description="the terms of the pictures forbid showing them: no picture is given out"
    )
    retention_days: Days | None = Field(None, description="of pictures (default: the operator's)")
    search_retention_days: Days | None = Field(None, description="of searches and marks (default: the operator's)")


class GalleryChange(_In):
    retention_days: Days | None = Field(None, description="of pictures that are added from now on")
    search_retention_days: Days | None = Field(None, description="of searches that are made from now on")


class Count(BaseModel):
    modality: Modality
    camera: str | None
    pictures: int


class GalleryOut(_Out):
    id: str
    bundle: str
    model: str = Field(description="the model's hash")
    restricted: bool
    retention_days: int
    search_retention_days: int
    created: datetime
    counts: list[Count]


class PurposeIn(_In):
    name: Name = Field(examples=["missing-person"])
    basis: str = Field(
        min_length=1,
        max_length=2000,
        pattern=r"^[^\x00]+$",
        description="the legal basis, and who decided it",
        examples=["Police Act section 12; decision of 2026-03-01"],
    )


class PurposeOut(_Out):
    name: str
    basis: str
    created: datetime
    withdrawn: datetime | None


class ImageOut(_Out):
    id: str = Field(description="SHA-256 of the file")
    modality: Modality
    camera: str | None
    added: datetime
    expires: datetime


class ImportRow(BaseModel):
    file: str
    state: Literal["added", "known", "refused", "unreadable"] = Field(
        description="`refused`: it was deleted from this gallery before, or its time was over"
    )
    image: str | None = None
    reason: str | None = None


class ImportIn(_In):
    root: Name = Field(description="a folder of the operator's configuration", examples=["crops"])
    modality: Modality
    camera: Cameras | None = None


class MigrationIn(_In):
    bundle: Name = Field(description="the model to be, of the operator's configuration", examples=["better"])


class JobOut(_Out):
    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed"]
    total: int
    done: int
    problem: str = Field(description="a problem's code where it failed")
    created: datetime
    ended: datetime | None


class HitOut(BaseModel):
    rank: int
    image: str
    score: float = Field(description="similarity; higher is more similar")
    llr: float | None = Field(
        description="natural log-likelihood ratio of one person against two; null where the model is not calibrated"
    )
    false_matches: float | None = Field(
        None, description="pictures of other people that chance is expected to lift as high in what was searched"
    )
    modality: Modality
    camera: str | None
    added: datetime
    standing: Standing = Field(description="what people said of it: a match is `confirmed` by two different people")
    yours: Verdict | None = Field(None, description="what the holder of the asking key said of it")


class SearchOut(BaseModel):
    id: str
    gallery: str
    at: datetime
    purpose: str
    case: str
    modality: Modality
    image: str | None = Field(None, description="the picture of the gallery it was made with; null for an upload")
    mode: str | None = Field(None, description="`full`, or `cascade:K` where the first K were scored again")
    searched: list[Modality] = Field([], description="modalities that were searched")
    note: str = ""
    warning: str = WARNING
    hits: list[HitOut]


class PartOut(BaseModel):
    """A part that the method compares on its own, and what it adds to the score."""

    name: str
    weight: float


class PairOut(BaseModel):
    """Regions of the two pictures that count together; regions are counted row by row, from 0."""

    query: int
    hit: int
    weight: float


class ExplanationOut(BaseModel):
    """Which regions of the two pictures a score rests on; positive weights speak for one person."""

    score: float = Field(description="of the two pictures compared")
    rows: int
    columns: int
    query: list[list[float]] = Field(description="what the score loses when a region of the query is covered")
    hit: list[list[float]] = Field(description="the same for the hit")
    pairs: list[PairOut]
    parts: list[PartOut] = Field(description="empty where the method does not compare parts")


class SimilarIn(_In):
    purpose: Name = Field(examples=["missing-person"])
    case: Line = Field(examples=["2026-17"])
    authorisation: Line = Field(examples=["court order 4/26"])
    authorised_until: Until
    top: int = Field(10, ge=1)
    cameras: list[Cameras] = []
    modalities: list[Modality] = []


class VerifiedOut(_Out):
    gallery: str
    at: datetime
    modalities: tuple[Modality, Modality]
    score: float
    llr: float = Field(description="natural log-likelihood ratio of one person against two")
    interval: tuple[float, float] = Field(description="of the ratio, 95 %, over the people of the calibration")
    seen: bool = Field(description="the calibration saw scores like this one; else the ratio is not to be relied on")
    false_match_rate: float = Field(description="share of pairs of two people that reach this ratio")
    prior: float | None = Field(description="probability of one person before the comparison, as it was declared")
    posterior: float | None = Field(description="the probability after it; null without a prior")
    calibration: str = Field(description="the calibration's hash")
    warning: str = "A ratio weighs evidence; how likely one person is depends on the prior, which the case must give."


class SubjectIn(_In):
    images: list[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]] = Field(
        min_length=1, max_length=500, description="the pictures that show the person, as people found them"
    )
    case: Line = Field(description="the request that is answered", examples=["access request 12/26"])


class MarkIn(_In):
    image: str = Field(pattern=r"^[0-9a-f]{64}$")
    verdict: Verdict


class MarkOut(BaseModel):
    image: str
    standing: Standing


class TrainingMark(BaseModel):
    """Two pictures of the gallery of which people said whether they show one person."""

    image: str
    other: str
    same: bool


class KeyIn(_In):
    holder: Line = Field(description="the person who answers for what is done with it", examples=["A. Person"])
    role: Role
    galleries: list[Annotated[str, StringConstraints(pattern=rf"{NAME}|^\*$")]] = Field(["*"], min_length=1)
    days: int = Field(90, ge=1, le=366)
    exports: bool = Field(False, description="may export marks for training, a right of its own")


class KeyOut(_Out):
    id: str
    holder: str
    role: Role
    galleries: list[str]
    exports: bool
    created: datetime
    expires: datetime
    revoked: datetime | None


class KeyNew(KeyOut):
    secret: str = Field(description="`id.secret`; it is told now and never again")


class Receipt(BaseModel):
    """Proof of a deletion: the audit's entry and its hash."""

    gallery: str | None = None
    pictures: int | None = None
    images: list[str] = []
    deleted: str
    audit: dict[str, Any] = Field(examples=[{"number": 17, "hash": "5f0c…"}])


class AuditOut(_Out):
    number: int
    at: str
    actor: str = Field(description="pseudonym of a key, or `service`, or `command line`")
    action: str
    gallery: str
    details: dict[str, Any]
    hash: str


class AlarmOut(_Out):
    id: str
    gallery: str
    key: str
    at: datetime
    searches: list[str]


class VerificationOut(BaseModel):
    sound: bool
    entries: int
    anchors: int
    findings: list[dict[str, Any]]
