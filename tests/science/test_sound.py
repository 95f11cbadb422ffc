"""A signal made from an image has the image; what cannot be made is refused."""

import numpy as np
import pytest
from vae_lib.frames import SAMPLE_RATES, _power, frame_features

from vae_lib import features, sound, synth
from vae_lib.checks import ParameterError


def image_of(y):
    return features.log_mel_image(frame_features(y).mel)


@pytest.fixture(scope="module")
def clip():
    return synth.render(synth.factors(1, seed=0).iloc[0])


@pytest.fixture(scope="module")
def image(clip):
    return image_of(clip)


def test_a_resynthesis_has_the_image_that_it_was_made_from(image):
    y = sound.from_log_mel(image, seconds=6)
    assert y.shape == (6 * 22_050,)
    assert np.abs(y).max() == pytest.approx(0.9)
    heard, asked = (np.clip(each - each.max(), -50, 0) for each in (image_of(y), image))
    assert np.corrcoef(heard.ravel(), asked.ravel())[0, 1] > 0.9
    assert np.abs(heard - asked).mean() < 4


def test_more_rounds_come_closer_to_the_magnitudes_asked_for(clip):
    asked = np.sqrt(_power(clip, "reflect"))
    errors = []
    for rounds in (1, 8, 32):
        y = sound.griffin_lim(asked, samples=len(clip), iterations=rounds)
        errors.append(np.linalg.norm(np.sqrt(_power(y, "reflect")) - asked) / np.linalg.norm(asked))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2
    with pytest.raises(ParameterError, match=r"magnitude must have shape \(259, 1025\)"):
        sound.griffin_lim(asked[:9], samples=len(clip))


def test_a_band_sounds_at_its_own_pitch():
    image = np.full((32, 64), -80.0)
    image[8, :32] = 0.0  # the mel bands 33 to 36, in the first half
    y = sound.from_log_mel(image, seconds=2)
    first, second = np.split(y, 2)
    assert np.square(second[2048:]).mean() < 1e-3 * np.square(first).mean()
    spectrum = np.abs(np.fft.rfft(first)) ** 2
    centroid = (np.fft.rfftfreq(len(first), 1 / 22_050) * spectrum).sum() / spectrum.sum()
    assert 700 < centroid < 1100


def test_equal_images_give_equal_sounds_and_another_seed_another(image):
    one, two, three = (sound.from_log_mel(image, seconds=2, iterations=2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


def test_what_cannot_be_heard_is_refused(image):
    with pytest.raises(ParameterError, match="divides 128, got 63"):
        sound.from_log_mel(image[:63], seconds=6)
    with pytest.raises(ParameterError, match="image"):
        sound.from_log_mel(image[0], seconds=6)
    with pytest.raises(ParameterError, match="image"):
        sound.from_log_mel(np.where(image > -20, np.nan, image), seconds=6)
    with pytest.raises(ParameterError, match="seconds"):
        sound.from_log_mel(image, seconds=0)
    with pytest.raises(ParameterError, match="sample_rate"):
        sound.from_log_mel(image, seconds=6, sample_rate=SAMPLE_RATES[0] - 1)


def test_an_image_of_silence_is_silent_and_finite():
    y = sound.from_log_mel(np.full((64, 128), -200.0), seconds=1)
    assert np.isfinite(y).all()
