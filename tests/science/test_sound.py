"""A signal made from an image has the image; what cannot be made is refused."""

import numpy as np
import pytest

from vae_lib import features, synth
from vae_lib.checks import ParameterError
from vae_lib.features import sound


@pytest.fixture(scope="module")
def image():
    return features.extract(synth.render(synth.factors(1, seed=0).iloc[0]))[1]


def test_a_resynthesis_has_the_image_that_it_was_made_from(image):
    y = sound.from_log_mel(image, seconds=6)
    assert y.shape == (6 * 22_050,)
    assert y.dtype == np.float32
    assert np.abs(y).max() == pytest.approx(0.9)
    heard, asked = (np.clip(each - each.max(), -50, 0) for each in (features.extract(y)[1], image))
    assert np.corrcoef(heard.ravel(), asked.ravel())[0, 1] > 0.95
    assert np.abs(heard - asked).mean() < 2  # dB; measured 1.1


def test_a_band_sounds_at_its_own_pitch_and_in_its_own_time():
    image = np.full((32, 64), -80.0)
    image[8, :32] = 0.0  # the mel bands 33 to 36, in the first half
    y = sound.from_log_mel(image, seconds=2)
    first, second = np.split(y, 2)
    assert np.square(second[2048:]).mean() < 1e-3 * np.square(first).mean()
    spectrum = np.abs(np.fft.rfft(first)) ** 2
    centroid = (np.fft.rfftfreq(len(first), 1 / 22_050) * spectrum).sum() / spectrum.sum()
    assert 700 < centroid < 1100


def test_equal_images_give_equal_sounds_and_another_seed_another():
    image = np.random.default_rng(0).uniform(-60, 0, (16, 32))
    one, two, three = (sound.from_log_mel(image, seconds=1, iterations=2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


def test_an_image_of_silence_is_silent_and_finite():
    y = sound.from_log_mel(np.full((64, 128), -200.0), seconds=1)
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((63, 8)), {}, "divides 128, got 63"),
        (np.zeros(8), {}, "image"),
        (np.full((64, 8), np.nan), {}, "image"),
        (np.zeros((64, 8)), {"seconds": 0}, "seconds"),
        (np.zeros((64, 8)), {"sample_rate": 8000}, "sample_rate"),
        (np.zeros((64, 8)), {"iterations": 0}, "iterations"),
    ],
)
def test_what_cannot_be_heard_is_refused(image, options, message):
    with pytest.raises(ParameterError, match=message):
        sound.from_log_mel(image, **{"seconds": 6} | options)
