"""Gradient norms by step and layer as sound, in a WAV file."""

from __future__ import annotations

import math
import os
import wave

import numpy as np
import numpy.typing as npt

from relustat._files import replacing

BASE_HZ = 200.0
HZ_PER_NORM = 100.0
HIGHEST_HZ = 8_000.0

# The amplitude of 16-bit samples: a quarter of full scale, because tones are tiring.
_PEAK = 8_191
_BYTES_PER_SAMPLE = 2
_HEADER_BYTES = 44
_MOST_BYTES = 2**32 - 1


def write(
    path: str | os.PathLike[str],
    values: npt.NDArray[np.floating],
    *,
    rate: int = 44_100,
    tone_seconds: float = 0.01,
) -> None:
    """Writes norms as a mono WAV file of 16 bits, whole or not at all.

    Each step is one tone for each layer, in order, and a rest as long as two tones. The pitch is
    200 Hz + 100 Hz x norm, and at most 8,000 Hz (for norms from 78). A tone is faded in and out
    over a tenth of its length. A NaN or infinite norm is white noise, the same in every file.

    The pitches and the rest are from C. S. Perone, "Listening to the neural network gradient norms
    during training", Terra Incognita, 2019.

    Args:
        path: the file.
        values: norms, [steps, layers]; ``norms.values[-200:]`` gives the last 200 steps.
        rate: samples per second, from 22,050 to 192,000.
        tone_seconds: length of a tone, from 0.001 to 10, rounded to whole samples.

    Raises:
        TypeError: if ``rate`` is not an integer.
        ValueError: if there is no step, an argument is out of its range, or the file would exceed
            the 4 GiB that WAV allows.

    Example:
        >>> import numpy, tempfile, wave
        >>> from relustat.analysis.gradients import sound
        >>> with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        ...     sound.write(file.name, numpy.array([[1.0, 2.5], [0.5, numpy.nan]]))
        ...     wave.open(file.name).getnframes()
        3528
    """
    if values.ndim != 2 or not len(values):
        shape = list(values.shape)
        raise ValueError(
            f"to_wav: norms must be [steps, layers] with at least one step, got {shape}"
        )
    if not isinstance(rate, int):
        raise TypeError(f"to_wav: rate must be an integer, got {type(rate).__name__}")
    if not 22_050 <= rate <= 192_000:
        raise ValueError(f"to_wav: rate must be from 22,050 to 192,000, got rate={rate}")
    if not 0.001 <= tone_seconds <= 10:
        raise ValueError(
            f"to_wav: tone_seconds must be from 0.001 to 10, got tone_seconds={tone_seconds}"
        )
    length = round(tone_seconds * rate)
    steps, layers = values.shape
    samples = steps * (layers + 2) * length
    if _HEADER_BYTES + samples * _BYTES_PER_SAMPLE > _MOST_BYTES:
        raise ValueError(
            f"to_wav: a WAV file must be below 4 GiB, got {samples:,} samples of "
            f"{_BYTES_PER_SAMPLE} bytes; shorten tone_seconds or write fewer steps"
        )
    voice = _Voice(rate, length)
    rest = bytes(2 * length * _BYTES_PER_SAMPLE)
    with replacing(path) as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(_BYTES_PER_SAMPLE)
        sound.setframerate(rate)
        sound.setnframes(samples)
        # One step at a time: the sound of a long training is larger than memory.
        for norms in values:
            sound.writeframesraw(b"".join(map(voice.sing, norms.tolist())) + rest)


class _Voice:
    """Makes the samples of one norm."""

    def __init__(self, rate: int, length: int) -> None:
        ramp = np.arange(length) / max(1, length // 10)
        # Sound that begins or ends abruptly is heard as a click.
        self._loudness = _PEAK * np.minimum(1, np.minimum(ramp, ramp[::-1]))
        self._angle_per_hz = 2 * math.pi * np.arange(length) / rate
        self._noise = np.random.default_rng(0)

    def sing(self, norm: float) -> bytes:
        if math.isfinite(norm):
            hz = BASE_HZ + HZ_PER_NORM * min(norm, (HIGHEST_HZ - BASE_HZ) / HZ_PER_NORM)
            sound = np.sin(hz * self._angle_per_hz)
        else:
            sound = self._noise.uniform(-1, 1, len(self._loudness))
        return (self._loudness * sound).round().astype("<i2").tobytes()
