"""Features of sound and words: audio → frames → one row and one image per track; lyrics; and back to sound.

`extract_many` reads files, `extract` a signal, `frame_features` shows it frame by frame; `standardised` and
`gaussianised` give the table that a clusterer or a model reads. `features.lyrics` places songs by their words,
`features.sound` makes an image audible.
"""

from vae_lib.features import lyrics, sound
from vae_lib.features.audio import SAMPLE_RATE, AudioError, load_audio
from vae_lib.features.columns import (
    COLUMNS,
    ORIGINAL_COLUMNS,
    PITCH_CLASSES,
    PUBLIC_COLUMNS,
    band_statistics,
    describe,
    gaussianised,
    outliers,
    standardised,
)
from vae_lib.features.frames import HOP_LENGTH, N_FFT, Frames, frame_features
from vae_lib.features.tracks import (
    IMAGE_FRAMES,
    IMAGE_MELS,
    PARAMETERS,
    VERSION,
    extract,
    extract_many,
    log_mel_image,
    summarise,
)

__all__ = [
    "COLUMNS",
    "HOP_LENGTH",
    "IMAGE_FRAMES",
    "IMAGE_MELS",
    "N_FFT",
    "ORIGINAL_COLUMNS",
    "PARAMETERS",
    "PITCH_CLASSES",
    "PUBLIC_COLUMNS",
    "SAMPLE_RATE",
    "VERSION",
    "AudioError",
    "Frames",
    "band_statistics",
    "describe",
    "extract",
    "extract_many",
    "frame_features",
    "gaussianised",
    "load_audio",
    "log_mel_image",
    "lyrics",
    "outliers",
    "sound",
    "standardised",
    "summarise",
]
