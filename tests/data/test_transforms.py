"""Augmentation: beside a plain reference picture by picture, in exact cases, and by statistics over many draws."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from vireid.data.transforms import Augmentation, Change, augment, normalise
from vireid.errors import UsageError
from vireid.types import Modality

OFF = Augmentation(padding=0, flip=0.0)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(height=48, width=24, seed=0):
    """A picture without black pixels, whose channels differ everywhere."""
    base = np.random.default_rng(seed).integers(1, 80, size=(height, width))
    return torch.from_numpy(np.stack([base, base + 80, base + 160]).astype(np.uint8))


def rng(seed=0):
    return np.random.default_rng(seed)


def changed(augmentation, image, modality, generator):
    """One picture (3, H, W) as a batch of its own."""
    return augment(image[None], [augmentation.draw(modality, tuple(image.shape[1:]), generator)])[0]


def grey_of(image):
    red, green, blue = image.double()
    return (0.2989 * red + 0.5870 * green + 0.1140 * blue).round().to(torch.uint8)


EVERYTHING = Augmentation(colour_jitter=0.3, grayscale=0.2, erasing="random", channel_exchange=True)


def test_the_same_generator_gives_the_same_picture_and_the_global_ones_stay_out():
    image, before = picture(), picture()
    for seed in range(20):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global generator is the point
        first = changed(EVERYTHING, image, Modality.VISIBLE, rng(seed))
        assert torch.equal(first, changed(EVERYTHING, image, Modality.VISIBLE, rng(seed)))
        assert first.shape == image.shape
        assert first.dtype == torch.uint8
    assert torch.equal(image, before)
    different = {changed(EVERYTHING, image, Modality.VISIBLE, rng(seed)).numpy().tobytes() for seed in range(20)}
    assert len(different) == 20


def reference(augmentation, image, modality, generator):
    """The same augmentation, drawn and done picture by picture, one step after the other."""
    options, (_, height, width) = augmentation, image.shape
    if options.padding:
        top, left = generator.integers(2 * options.padding + 1, size=2)
        image = F.pad(image, (options.padding,) * 4)[:, top : top + height, left : left + width]
    if generator.random() < options.flip:
        image = image.flip(2)
    if options.colour_jitter:
        image = jittered(image, *generator.uniform(1 - options.colour_jitter, 1 + options.colour_jitter, size=3))
    if options.grayscale and generator.random() < options.grayscale:
        image = luminance(image).round().to(torch.uint8).expand(3, -1, -1)
    if options.erasing != "none" and generator.random() < options.erasing_probability:
        image = erased(options, image, generator)
    if options.channel_exchange and modality is Modality.VISIBLE:
        case = int(generator.integers(4))
        if case < 3:
            image = image[case].expand(3, -1, -1)
        elif generator.random() < 0.5:
            image = luminance(image).round().to(torch.uint8).expand(3, -1, -1)
    return image


def luminance(image):
    red, green, blue = image.float()
    return 0.2989 * red + 0.5870 * green + 0.1140 * blue


def jittered(image, brightness, contrast, saturation):
    values = (image.float() * brightness).clamp(0, 255)
    middle = luminance(values).double().mean().float()
    values = ((values - middle) * contrast + middle).clamp(0, 255)
    grey = luminance(values)
    return ((values - grey) * saturation + grey).clamp(0, 255).round().to(torch.uint8)


def erased(options, image, generator):
    _, height, width = image.shape
    for _ in range(100):
        area = generator.uniform(*options.erasing_area) * height * width
        ratio = generator.uniform(*options.erasing_ratio)
        rows, columns = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if rows < height and columns < width:
            top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)
            image = image.clone()
            block = image[:, top : top + rows, left : left + columns]
            if options.erasing == "random":
                block[:] = torch.from_numpy(generator.integers(256, size=(3, rows, columns), dtype=np.uint8))
            else:
                block[:] = torch.tensor([125, 123, 114], dtype=torch.uint8)[:, None, None]
            return image
    return image


COMBINATIONS = [
    Augmentation(),
    Augmentation(padding=3, erasing="channel", channel_exchange=True),
    Augmentation(padding=0, erasing="random", erasing_probability=0.9, grayscale=0.4),
    Augmentation(colour_jitter=0.3, grayscale=0.3),
    EVERYTHING,
]


@pytest.mark.parametrize("augmentation", COMBINATIONS)
@pytest.mark.parametrize("modality", list(Modality))
@pytest.mark.parametrize("size", [(48, 24), (45, 33)])
def test_a_batch_is_changed_as_its_pictures_one_by_one(augmentation, modality, size):
    images = torch.stack([picture(*size, seed=seed) for seed in range(24)])
    before = images.clone()
    changes = [augmentation.draw(modality, size, rng(seed)) for seed in range(24)]
    expected = [reference(augmentation, image, modality, rng(seed)) for seed, image in enumerate(images)]
    found = augment(images, changes)
    assert torch.equal(found, torch.stack(expected))
    assert torch.equal(images, before)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(images.contiguous(memory_format=torch.channels_last), changes), found)
    shuffled = torch.randperm(24, generator=torch.Generator().manual_seed(0))[:11].tolist()
    assert torch.equal(augment(images[shuffled], [changes[place] for place in shuffled]), found[shuffled])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("augmentation", COMBINATIONS)
def test_every_device_gives_the_same_bits(augmentation):
    images = torch.stack([picture(144, 72, seed=seed) for seed in range(64)])
    changes = [augmentation.draw(Modality.VISIBLE, (144, 72), rng(seed)) for seed in range(64)]
    there, here = (augment(images.to(device), changes) for device in ("cuda", "cpu"))
    assert torch.equal(there.cpu(), here)
    assert torch.equal(normalise(there, MEAN, STD).cpu(), normalise(here, MEAN, STD))


def test_everything_off_changes_nothing():
    assert torch.equal(changed(OFF, picture(), Modality.VISIBLE, rng()), picture())


def test_flip_mirrors_half_of_the_pictures():
    image = picture()
    found = [changed(Augmentation(padding=0), image, Modality.INFRARED, generator) for generator in [rng()] * 1000]
    mirrored = sum(torch.equal(other, image.flip(2)) for other in found)
    assert mirrored + sum(torch.equal(other, image) for other in found) == 1000
    assert 440 < mirrored < 560


def test_crops_are_windows_of_the_padded_picture_and_reach_every_offset():
    image = picture(12, 6)
    padded = torch.zeros(3, 18, 12, dtype=torch.uint8)
    padded[:, 3:15, 3:9] = image
    windows = {padded[:, y : y + 12, x : x + 6].numpy().tobytes() for y in range(7) for x in range(7)}
    generator = rng()
    augmentation = Augmentation(padding=3, flip=0.0)
    seen = {changed(augmentation, image, Modality.VISIBLE, generator).numpy().tobytes() for _ in range(1000)}
    assert seen == windows


def test_channel_exchange_leaves_three_equal_channels_or_the_picture():
    image, generator = picture(), rng()
    augmentation = Augmentation(padding=0, flip=0.0, channel_exchange=True)
    cases = {image[channel].numpy().tobytes(): channel for channel in range(3)} | {grey_of(image).numpy().tobytes(): 3}
    counts = np.zeros(5, dtype=int)
    for _ in range(4000):
        found = changed(augmentation, image, Modality.VISIBLE, generator)
        if torch.equal(found, image):
            counts[4] += 1
        else:
            assert torch.equal(found[0], found[1])
            assert torch.equal(found[0], found[2])
            counts[cases[found[0].numpy().tobytes()]] += 1
    assert np.abs(counts / 4000 - [0.25, 0.25, 0.25, 0.125, 0.125]).max() < 0.03


def test_channel_exchange_is_for_visible_pictures_only():
    image, augmentation = picture(), Augmentation(padding=0, flip=0.0, channel_exchange=True)
    assert all(torch.equal(changed(augmentation, image, Modality.INFRARED, rng(seed)), image) for seed in range(20))
    assert any(not torch.equal(changed(augmentation, image, Modality.VISIBLE, rng(seed)), image) for seed in range(20))


def rectangle_of(changed):
    """Bounds (top, bottom, left, right) of the changed pixels (H, W) bool."""
    rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


@pytest.mark.parametrize("modality", list(Modality))
def test_channel_erasing_fills_a_rectangle_with_one_constant_per_channel(modality):
    image = torch.full((3, 60, 30), 7, dtype=torch.uint8)
    augmentation, generator = Augmentation(padding=0, flip=0.0, erasing="channel"), rng()
    erased, areas, ratios = 0, [], []
    for _ in range(1000):
        found = changed(augmentation, image, modality, generator)
        differs = (found != image).any(0)
        if not differs.any():
            continue
        erased += 1
        top, bottom, left, right = rectangle_of(differs)
        block = found[:, top:bottom, left:right]
        assert torch.equal(block, torch.tensor([125, 123, 114], dtype=torch.uint8)[:, None, None].expand_as(block))
        areas.append((bottom - top) * (right - left) / 1800)
        ratios.append((bottom - top) / (right - left))
    assert 440 < erased < 560
    assert 0.012 < min(areas) < 0.04
    assert 0.36 < max(areas) < 0.42
    assert 0.2 < min(ratios) < 0.6
    assert 2.8 < max(ratios) < 4.0


def test_random_erasing_fills_with_noise():
    image = torch.full((3, 60, 30), 7, dtype=torch.uint8)
    augmentation = Augmentation(
        padding=0,
        flip=0.0,
        erasing="random",
        erasing_probability=1.0,
        erasing_area=(0.3, 0.3),
        erasing_ratio=(1.0, 1.0),
    )
    found = changed(augmentation, image, Modality.VISIBLE, rng())
    top, bottom, left, right = rectangle_of((found != image).any(0))
    assert (bottom - top, right - left) == (23, 23)
    block = found[:, top:bottom, left:right].float()
    assert 118 < block.mean() < 137
    assert block.unique().numel() > 200


def test_a_rectangle_that_cannot_fit_leaves_the_picture():
    augmentation = Augmentation(
        padding=0, flip=0.0, erasing="channel", erasing_probability=1.0, erasing_area=(1.0, 1.0)
    )
    assert torch.equal(changed(augmentation, picture(), Modality.VISIBLE, rng()), picture())


def test_grayscale_gives_the_luminance():
    image, augmentation = picture(), Augmentation(padding=0, flip=0.0, grayscale=0.3)
    generator, turned = rng(), 0
    for _ in range(500):
        found = changed(augmentation, image, Modality.VISIBLE, generator)
        if not torch.equal(found, image):
            turned += 1
            assert torch.equal(found, grey_of(image).expand(3, -1, -1))
    assert 110 < turned < 190


def slow_jitter(image, brightness, contrast, saturation):
    def clip(value):
        return min(max(value, 0.0), 255.0)

    def grey(pixel):
        return 0.2989 * pixel[0] + 0.5870 * pixel[1] + 0.1140 * pixel[2]

    pixels = [[clip(v * brightness) for v in pixel] for pixel in image.flatten(1).T.tolist()]
    middle = sum(grey(pixel) for pixel in pixels) / len(pixels)
    pixels = [[clip(middle + (v - middle) * contrast) for v in pixel] for pixel in pixels]
    pixels = [[clip(grey(pixel) + (v - grey(pixel)) * saturation) for v in pixel] for pixel in pixels]
    return torch.tensor(pixels).T.view(image.shape)


@pytest.mark.parametrize("seed", range(5))
def test_colour_jitter_equals_plain_loops(seed):
    image, strength = picture(8, 5, seed), 0.6
    augmentation = Augmentation(padding=0, flip=0.0, colour_jitter=strength)
    draws = rng(seed)
    draws.random()  # the flip's
    expected = slow_jitter(image, *draws.uniform(1 - strength, 1 + strength, size=3).tolist())
    found = changed(augmentation, image, Modality.VISIBLE, rng(seed))
    assert (found.float() - expected).abs().max() <= 0.501


def test_normalise_equals_the_definition():
    images = torch.stack([picture(seed=1), picture(seed=2)])
    found = normalise(images, MEAN, STD)
    assert found.dtype == torch.float32
    for channel in range(3):
        expected = (images[:, channel].double() / 255 - MEAN[channel]) / STD[channel]
        assert torch.allclose(found[:, channel].double(), expected, atol=1e-6)
    assert images.dtype == torch.uint8


@pytest.mark.parametrize("bad", [torch.zeros(2, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)])
def test_normalise_refuses_what_is_not_a_batch_of_bytes(bad):
    with pytest.raises(UsageError, match=r"expected images \(N, 3, H, W\) uint8"):
        normalise(bad, MEAN, STD)


def test_augment_refuses_floats_and_another_number_of_changes():
    with pytest.raises(UsageError, match=r"expected images \(N, 3, H, W\) uint8"):
        augment(torch.zeros(1, 3, 4, 4), [Change()])
    with pytest.raises(UsageError, match="1 images cannot take 2 changes"):
        augment(picture()[None], [Change(), Change()])


@pytest.mark.parametrize(
    "options",
    [
        {"flips": 0.5},
        {"flip": 1.5},
        {"padding": -1},
        {"erasing": "chanel"},
        {"erasing_area": (0.4, 0.02)},
        {"erasing_area": (0.1, 1.2)},
        {"erasing_ratio": (0.0, 3.3)},
        {"colour_jitter": -0.1},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValidationError):
        Augmentation(**options)


def test_options_are_frozen_and_described():
    with pytest.raises(ValidationError):
        OFF.flip = 1.0
    assert all(field.description for field in Augmentation.model_fields.values())
