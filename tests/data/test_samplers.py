import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vireid.data.samplers import IdentitySampler, Share
from vireid.errors import TrainingError, UsageError
from vireid.types import Modality

LABELS = {
    Modality.VISIBLE: np.repeat(np.arange(6), [5, 5, 5, 5, 5, 2]),
    Modality.INFRARED: np.repeat(np.arange(5), 3),  # identity 5 has no infrared picture
}
IMAGES = {Modality.VISIBLE: 4, Modality.INFRARED: 2}


def sampler(**changes: object) -> IdentitySampler:
    return IdentitySampler(LABELS, **({"identities": 4, "images": IMAGES, "seed": 0} | changes))  # type: ignore[arg-type]


@given(epoch=st.integers(0, 50), batch=st.integers(0, 50))
def test_a_batch_holds_k_pictures_of_the_same_identities_in_both_modalities(epoch: int, batch: int) -> None:
    found = sampler().batch(0, epoch, batch)
    visible = LABELS[Modality.VISIBLE][found[Modality.VISIBLE]].reshape(4, 4)
    infrared = LABELS[Modality.INFRARED][found[Modality.INFRARED]].reshape(4, 2)
    assert (visible == visible[:, :1]).all()
    assert (infrared == infrared[:, :1]).all()
    assert (visible[:, 0] == infrared[:, 0]).all()
    assert len(set(visible[:, 0])) == 4
    assert 5 not in visible


def test_pictures_repeat_only_when_an_identity_has_too_few() -> None:
    labels = {Modality.VISIBLE: np.array([0, 0, 1, 1, 1, 1, 1, 1])}
    few = IdentitySampler(labels, identities=2, images={Modality.VISIBLE: 5}, seed=0)
    for batch in range(20):
        rows = few.batch(0, 0, batch)[Modality.VISIBLE].reshape(2, 5)
        for row in rows:
            members = set(np.flatnonzero(labels[Modality.VISIBLE] == labels[Modality.VISIBLE][row[0]]))
            assert len(set(row)) == min(5, len(members))


@given(epoch=st.integers(0, 9), batch=st.integers(0, 9), world=st.sampled_from([1, 2, 4]))
def test_shares_of_all_processes_are_the_global_batch(epoch: int, batch: int, world: int) -> None:
    whole = sampler().batch(1, epoch, batch)
    shares = [sampler().batch(1, epoch, batch, share=Share(rank=rank, world=world)) for rank in range(world)]
    for modality in Modality:
        assert (np.concatenate([share[modality] for share in shares]) == whole[modality]).all()


def test_a_batch_depends_on_seed_phase_epoch_and_number_alone() -> None:
    first = sampler().batch(0, 3, 7)[Modality.VISIBLE]
    assert (sampler().batch(0, 3, 7)[Modality.VISIBLE] == first).all()
    for other in (
        sampler(seed=1).batch(0, 3, 7),
        sampler().batch(1, 3, 7),
        sampler().batch(0, 4, 7),
        sampler().batch(0, 3, 8),
    ):
        assert (other[Modality.VISIBLE] != first).any()


def test_unpaired_modalities_draw_their_own_identities() -> None:
    free = sampler(paired=False)
    drawn = [free.batch(0, 0, batch) for batch in range(30)]
    pairs = [
        (set(LABELS[Modality.VISIBLE][b[Modality.VISIBLE]]), set(LABELS[Modality.INFRARED][b[Modality.INFRARED]]))
        for b in drawn
    ]
    assert any(visible != infrared for visible, infrared in pairs)
    assert any(5 in visible for visible, _ in pairs)


def test_pictures_without_a_label_take_no_part() -> None:
    labels = {Modality.VISIBLE: np.array([0, 0, -1, 1, 1, -1])}
    some = IdentitySampler(labels, identities=2, images={Modality.VISIBLE: 2}, seed=0)
    assert not {2, 5} & {int(i) for batch in range(20) for i in some.batch(0, 0, batch)[Modality.VISIBLE]}
    assert some.batches == 1


def test_an_epoch_sees_the_larger_modality_about_once() -> None:
    assert sampler().batches == 2  # 27 visible pictures, 16 a batch; 15 infrared ones, 8 a batch
    assert sampler(batches=9).batches == 9


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"needs 6 identities, but only 5 .*lower batch\.identities"):
        sampler(identities=6)
    with pytest.raises(UsageError, match=r"takes no infrared pictures.*set batch\.infrared"):
        sampler(images={Modality.VISIBLE: 4, Modality.INFRARED: 0})
    with pytest.raises(UsageError, match="not divisible by 3 processes"):
        Share(rank=0, world=3).refuse_uneven(4)
