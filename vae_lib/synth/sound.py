"""Synthetic songs as sound: drums, bass, chords and a melody."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.fft
from scipy.ndimage import uniform_filter1d

from vae_lib import checks
from vae_lib.synth.causes import DRUMS, MODES, VOICES, Drum, Song, Voice, ready

SAMPLE_RATE = 22_050  # Hz
SECONDS = 6.0


def render(row: Mapping | pd.Series, *, seconds: float = SECONDS, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Play a song: drums, bass, chords and a melody, from the first bar on.

    Parameters
    ----------
    row : Series or mapping
        A row of `factors`, or one that was changed.
    seconds : float
        Length of the clip, 1 to 60.
    sample_rate : int
        In Hz, 16 000 to 48 000.

    Returns
    -------
    ndarray, shape (samples,), float32
        One channel; full scale is −1 to 1, the loudest sample is at 0.9.

    Raises
    ------
    ParameterError
        If a factor is missing or not what it may be, or an argument is outside its range.

    Examples
    --------
    >>> from vae_lib import synth
    >>> song = synth.factors(1).iloc[0]
    >>> y = synth.render(song, seconds=2)
    >>> y.shape, round(float(abs(y).max()), 2)
    ((44100,), 0.9)
    """
    song = ready(row)
    checks.in_range(seconds, "seconds", low=1, high=60)
    checks.count(sample_rate, "sample_rate", low=16_000, high=48_000)
    length = round(seconds * sample_rate)
    starts = _step_starts(song, seconds, sample_rate)

    parts = (_drums, _bass, _chords, _melody)
    mix = np.zeros(length, dtype=np.float32)
    for part, level in zip(parts, song.genre.levels, strict=True):
        mix += level * _levelled(part(song, starts, length, sample_rate))
    if song.language == "bangla":
        mix += 0.4 * _levelled(_drone(song, starts, length, sample_rate))
    return _finish(mix, song, sample_rate)


def _step_starts(song: Song, seconds: float, sample_rate: int) -> np.ndarray:
    """First sample of each step of as many bars as the clip needs, and of the step after the last one."""
    step = 60 / song.tempo / song.genre.steps
    bar = song.genre.beats * song.genre.steps
    number = np.arange(math.ceil(seconds / (bar * step)) * bar + 1)
    return ((number + song.genre.swing * (number % 2)) * step * sample_rate).astype(int)


def _strikes(bar: str, song: Song, starts: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Steps on which a pattern is played, how hard (0 to 1), and the signs that stand there."""
    signs = np.resize(np.array(list(bar)), len(starts) - 1)
    chance, touch = generator.random((len(signs), 2)).T  # for every step, so that density moves no other stroke
    likely = np.select([signs == ".", signs == "x", signs == "o"], [0.0, 0.55 + song.density, song.density], 1.0)
    likely[np.argmax(signs != ".")] = 1.0  # every part enters, however sparse the song and short the clip
    steps = np.flatnonzero(chance < likely)
    strength = np.select([signs == "X", signs == "o"], [1.0, 0.5], 0.75) * (0.85 + 0.3 * touch)
    return steps, strength[steps], signs[steps]


def _place(track: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Add a sound to a track; what lies beyond its end is lost."""
    part = track[start : start + len(sound)]
    part += sound[: len(part)]


def _drums(song: Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    kit = song.genre.drums
    track = np.zeros(length, dtype=np.float32)
    for (name, bar), generator in zip(kit.items(), song.streams["drums"].spawn(len(kit)), strict=True):
        sound = _drum(DRUMS[name], sample_rate, generator)
        steps, strength, _ = _strikes(bar, song, starts, generator)
        late = 0.005 * np.maximum(1 - strength, 0) * sample_rate  # nobody hits the grid exactly; soft strokes drag
        for start, level in zip(starts[steps] + late.astype(int), strength, strict=True):
            _place(track, level * sound, start)
    return track


def _drum(drum: Drum, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    size = int(min(7 / min(drum.decay, drum.body), 1.5) * sample_rate)
    t = np.arange(size, dtype=np.float32) / sample_rate
    pitch = drum.pitch * generator.uniform(0.92, 1.08)  # every song has its own kit
    burst = generator.standard_normal(size, dtype=np.float32)
    for _ in range(drum.thin):
        burst = np.diff(burst, prepend=burst[:1]) * 0.7
    sound = drum.noise * burst * np.exp(-drum.decay * t)
    if drum.tone:
        phase = pitch * t + drum.drop / 35 * (1 - np.exp(-35 * t))
        sound += drum.tone * np.sin(2 * np.pi * phase) * np.exp(-drum.body * t)
    return sound * np.minimum(t / drum.attack, 1)


def _pitch(song: Song, degree: int) -> int:
    """MIDI number of a scale degree, counted from the tonic between C4 (60) and B4."""
    octave, place = divmod(degree, 7)
    return 60 + song.key + 12 * octave + MODES[song.mode][place]


def _roots(song: Song, steps: np.ndarray) -> np.ndarray:
    """Scale degree of the chord that sounds at each step."""
    genre = song.genre
    progression = genre.major if song.mode == "major" else genre.minor
    each = genre.beats * genre.steps // genre.chords_per_bar
    return np.array(progression)[steps // each % len(progression)]


def _bass(song: Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    name, bar = song.genre.bass
    steps, strength, signs = _strikes(bar, song, starts, song.streams["bass"])
    lowest = 28  # E1
    pitches = [
        lowest + (_pitch(song, root + int(sign) - 1) - lowest) % 12 + 12 * (sign == "8")
        for root, sign in zip(_roots(song, steps), signs, strict=True)
    ]
    return _line(VOICES[name], starts[np.r_[steps, -1]], pitches, strength, length, sample_rate)


def _chords(song: Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    genre = song.genre
    name, bar = genre.chords
    voice = VOICES[name]
    generator = song.streams["chords"]
    low = genre.reach + int(generator.integers(6))  # each chord takes the inversion that lies under the hand
    steps, strength, _ = _strikes(bar, song, starts, generator)
    onsets = starts[np.r_[steps, -1]]
    track = np.zeros(length, dtype=np.float32)
    held = np.full(len(steps), 0.8) if genre.broken else np.diff(onsets) / sample_rate
    held = np.minimum(held, 0.2 if genre.short else 2.0)
    tones: dict[int, np.ndarray] = {}  # each pitch is made once, as long as the longest chord, and cut to length
    for number, root in enumerate(_roots(song, steps)):
        pitches = sorted(low + (_pitch(song, root + degree) - low) % 12 for degree in genre.shape)
        if genre.broken:
            pitches = [pitches[number % len(pitches)]]
        for string, pitch in enumerate(pitches):
            if pitch not in tones:
                tones[pitch] = _tone(voice, pitch, held.max(), sample_rate)
            strum = int(0.009 * sample_rate) * string * bool(voice.plucked)
            sound = _released(tones[pitch], held[number], sample_rate)
            _place(track, strength[number] * sound, onsets[number] + strum)
    return np.tanh(genre.drive * _levelled(track)) if genre.drive else track


def _melody(song: Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """One motif, moved to the chord of each bar; every second bar comes home to the tonic."""
    genre = song.genre
    name, bar = genre.melody
    generator = song.streams["melody"]
    size = genre.beats * genre.steps
    motif = generator.choice([-2, -1, -1, 0, 1, 1, 2], size)  # scale degrees from note to note
    degree = int(generator.integers(0, 5))
    steps, strength, _ = _strikes(bar, song, starts, generator)
    pitches = []
    for step, following, root in zip(steps, [*steps[1:], len(starts)], _roots(song, steps), strict=True):
        degree += motif[step % size]
        if step // size % 2 == 1 and following // size > step // size:
            degree = _nearest(degree, [0])
        elif step % genre.steps == 0:
            degree = _nearest(degree, [root, root + 2, root + 4])
        degree += 7 * (degree < -3) - 7 * (degree > 9)  # stays within an octave and a half
        pitches.append(_pitch(song, degree))
    glide = 0.09 if song.language == "bangla" else 0.0
    return _line(VOICES[name], starts[np.r_[steps, -1]], pitches, strength, length, sample_rate, glide=glide)


def _nearest(position: int, tones: list[int]) -> int:
    """The scale degree closest to a position among some tones and their octaves."""
    return min((tone + 7 * octave for tone in tones for octave in range(-3, 4)), key=lambda d: (abs(d - position), d))


def _drone(song: Song, starts: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """Fifth, octave, octave, tonic on one beat after the other, each string ringing into the next."""
    tonic = 43 + (song.key - 7) % 12  # G2 to F#3
    strings = [_tone(VOICES["drone"], tonic + above, 2.0, sample_rate) for above in (7, 12, 0)]
    track = np.zeros(length, dtype=np.float32)
    for beat, start in enumerate(starts[: -1 : song.genre.steps]):
        _place(track, strings[(0, 1, 1, 2)[beat % 4]], start)
    return track


def _hertz(pitch: np.ndarray | float) -> np.ndarray | float:
    return 440 * 2 ** ((pitch - 69) / 12)


def _tone(voice: Voice, pitch: int, seconds: float, sample_rate: int) -> np.ndarray:
    """One note of an instrument that plays chords, let ring."""
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    if voice.plucked:
        sound = _plucked(pitch, voice, len(t), sample_rate)
    else:
        copies = (-voice.detune / 2, voice.detune / 2) if voice.detune else (0.0,)
        cycles = [_hertz(pitch + cents / 100) * t for cents in copies]
        sound = sum(_harmonics(c, voice, _hertz(pitch + 1), sample_rate, fading=voice.decay * t) for c in cycles)
    return (sound * np.minimum(t / voice.attack, 1)).astype(np.float32)


def _harmonics(
    cycles: np.ndarray, voice: Voice, highest: float, sample_rate: int, fading: np.ndarray | float = 0.0
) -> np.ndarray:
    """The sum of a voice's partials over a phase in cycles; partial h fades h times as fast as the fundamental.

    With z = exp(2πi·phase − fading) partial h is the imaginary part of its weight times z to the power h, so that the
    sum is a polynomial in z: one exponential serves all partials.
    """
    audible = np.array(voice.partials[: max(1, int(0.45 * sample_rate / highest))], dtype=np.float32)
    angle = (2 * np.pi * (cycles % 1)).astype(np.float32)
    z = np.empty(len(angle), dtype=np.complex64)
    z.real, z.imag = np.cos(angle), np.sin(angle)
    z *= np.exp(-np.asarray(fading, dtype=np.float32))
    sound = np.empty_like(angle)
    for start in range(0, len(z), 8192):  # a block stays in the processor's cache while the partials go over it
        block = z[start : start + 8192]
        total = np.zeros_like(block)
        for weight in audible[::-1]:
            total += weight
            total *= block
        sound[start : start + 8192] = total.imag
    return sound


def _plucked(pitch: int, voice: Voice, length: int, sample_rate: int) -> np.ndarray:
    """A plucked string after Karplus and Strong (1983): a burst of noise goes round and is averaged on every round.

    All rounds at once: averaging two neighbours is a product in the frequency domain, so round k is the first one times
    the k-th power of cos(πf). The remainder of the period that is no whole sample is a shift of phase, likewise.
    """
    frequency = _hertz(pitch)
    period = sample_rate / frequency
    size = int(period)
    turn = np.fft.rfftfreq(size)  # cycles per sample
    per_round = np.cos(np.pi * turn) * np.exp(-voice.decay / frequency - 2j * np.pi * turn * (period - size))
    noise = np.random.default_rng(pitch).uniform(-1, 1, size)  # the same finger on the same string
    burst = np.fft.rfft(noise) * np.cos(np.pi * turn) ** (4 * voice.plucked)
    burst[0] = 0
    rounds = np.arange(length // size + 1)[:, None]
    return np.fft.irfft(burst * per_round**rounds, n=size).ravel()[:length]


def _line(
    voice: Voice,
    onsets: np.ndarray,
    pitches: list[int],
    strength: np.ndarray,
    length: int,
    sample_rate: int,
    *,
    glide: float = 0.0,
) -> np.ndarray:
    """One note after the other on one instrument; `onsets` has one entry more than there are notes, the end."""
    end = max(length, onsets[-1])
    t = np.arange(end) / sample_rate
    semitones = np.empty(end)
    level = np.zeros(end)
    semitones[: onsets[0]] = pitches[0]
    for start, stop, pitch, strong in zip(onsets[:-1], onsets[1:], pitches, strength, strict=True):
        semitones[start:stop] = pitch
        held = t[: min(int(0.93 * (stop - start)), sample_rate)]  # a breath before the next note
        rise = np.minimum(held / voice.attack, 1) * np.minimum((held[-1] - held) / 0.03, 1)
        level[start : start + len(held)] = strong * rise * np.exp(-voice.decay * held)
    semitones[onsets[-1] :] = pitches[-1]
    if glide:
        semitones = uniform_filter1d(semitones, int(glide * sample_rate), mode="nearest")
    if voice.vibrato:
        semitones += voice.vibrato / 100 * np.sin(2 * np.pi * 5.4 * t)
    cycles = np.cumsum(_hertz(semitones) / sample_rate)
    return (level * _harmonics(cycles, voice, _hertz(max(pitches) + 1), sample_rate))[:length].astype(np.float32)


def _released(tone: np.ndarray, seconds: float, sample_rate: int) -> np.ndarray:
    """The beginning of a tone, damped at its end."""
    size = min(int(seconds * sample_rate), len(tone))
    sound = tone[:size].copy()
    fade = min(int(0.03 * sample_rate), size)
    sound[size - fade :] *= np.linspace(1, 0, fade)
    return sound


def _levelled(track: np.ndarray) -> np.ndarray:
    """A track at the same mean power as any other."""
    return track / max(np.sqrt(np.mean(np.square(track))), 1e-9)


def _finish(mix: np.ndarray, song: Song, sample_rate: int) -> np.ndarray:
    """Room, tone control, a little tape, and an end that does not click."""
    tail = int(0.8 * sample_rate)
    response = song.streams["room"].standard_normal(tail) * np.exp(-7 * np.arange(tail) / tail)
    size = scipy.fft.next_fast_len(len(mix) + tail, real=True)
    room = scipy.fft.rfft((response / np.linalg.norm(response)).astype(np.float32), size)
    spectrum = scipy.fft.rfft(mix, size) * (1 - song.genre.room + song.genre.room * room)
    # Brightness tilts the spectrum about 700 Hz, by −3.6 to +3.6 dB per octave.
    frequency = np.maximum(scipy.fft.rfftfreq(size, 1 / sample_rate), 60)
    spectrum *= ((frequency / 700) ** (1.2 * (song.brightness - 0.5))).astype(np.float32)
    y = scipy.fft.irfft(spectrum, size)[: len(mix)]
    y = np.tanh(_levelled(y) / 3)
    fade = int(0.2 * sample_rate)
    y[-fade:] *= np.linspace(1, 0, fade)
    return (y * (0.9 / np.abs(y).max())).astype(np.float32)
