"""What is heard of gradient norms: the files are read back, pitches found by FFT."""

import math
import tracemalloc
import wave

import numpy as np
import pytest
from torch import nn

from relustat.analysis.gradients import sound
from relustat.analysis.gradients.gradient_norms import GradientNorms

NAN, INF = math.nan, math.inf


def heard(path, values, **options):
    """The samples, [steps, layers + 2, samples of a tone]; the last two are the rest."""
    values = np.array(values, dtype=np.float64)
    sound.write(path, values, **options)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert file.getframerate() == options.get("rate", 44_100)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert len(samples) == file.getnframes()
    steps, layers = values.shape
    return samples.reshape(steps, layers + 2, -1)


def spectrum(tone):
    return np.abs(np.fft.rfft(tone.astype(np.float64))) ** 2


@pytest.mark.parametrize("rate", [22_050, 44_100, 192_000])
def test_pitch_is_200_hz_and_100_for_each_unit_of_norm(rate, tmp_path):
    norms = [[0.0, 0.5, 1.0], [7.3, 25.0, 77.9], [78.0, 78.1, 3e38]]
    sound = heard(tmp_path / "a.wav", norms, rate=rate, tone_seconds=0.1)
    assert sound.shape == (3, 5, rate // 10)
    # 0.1 s: the spectrum has a place every 10 Hz.
    pitches = [[10 * spectrum(tone).argmax() for tone in step[:3]] for step in sound]
    assert pitches == [[200, 250, 300], [930, 2700, 7990], [8000, 8000, 8000]]


def test_lengths_are_exact_and_rests_silent(tmp_path):
    sound = heard(tmp_path / "a.wav", np.full((200, 4), 3.0))
    assert sound.shape == (200, 6, 441)
    assert (sound[:, 4:] == 0).all()
    assert (np.abs(sound[:, :4]).max(axis=2) > 8000).all()
    assert heard(tmp_path / "b.wav", [[1.0]], rate=22_051, tone_seconds=0.0123).shape == (1, 3, 271)


def test_tones_fade_in_and_out(tmp_path):
    tone = heard(tmp_path / "a.wav", [[20.0]])[0, 0]
    loudest = np.abs(tone).max()
    for end in (tone, tone[::-1]):
        assert end[0] == 0
        assert np.abs(end[:10]).max() < loudest / 4
    assert np.abs(tone[44:-44]).max() == loudest


@pytest.mark.parametrize("norm", [NAN, INF])
def test_what_is_not_finite_is_noise(norm, tmp_path):
    sound = heard(tmp_path / "a.wav", [[1.0, norm], [norm, 1.0]])
    tone, noise, more_noise = sound[0, 0], sound[0, 1], sound[1, 0]
    for each, most, least in [(tone, 1, 0.9), (noise, 0.3, 0), (more_noise, 0.3, 0)]:
        tenths = np.array([part.sum() for part in np.array_split(spectrum(each), 10)])
        assert least <= tenths.max() / tenths.sum() <= most
    assert not np.array_equal(noise, more_noise)
    again = heard(tmp_path / "b.wav", [[1.0, norm], [norm, 1.0]])
    assert np.array_equal(sound, again)


def test_a_long_training_is_not_held_in_memory(tmp_path):
    values = np.ones((4_000, 2))
    tracemalloc.start()
    sound.write(tmp_path / "a.wav", values, tone_seconds=0.001)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "a.wav").stat().st_size == 44 + 4_000 * 4 * 44 * 2
    assert peak < 300_000


def test_to_wav_writes_what_was_recorded(tmp_path):
    layer = nn.Linear(1, 1, bias=False)
    norms = GradientNorms(layer)
    for value in (1.0, 2.0, NAN):
        layer.weight.grad = layer.weight.detach().clone().fill_(value)
        norms.record()
    norms.to_wav(tmp_path / "a.wav", rate=48_000, tone_seconds=0.02)
    heard(tmp_path / "b.wav", [[1.0], [2.0], [NAN]], rate=48_000, tone_seconds=0.02)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize(
    ("values", "options", "error", "text"),
    [
        (np.ones((0, 3)), {}, ValueError, r"at least one step, got \[0, 3\]"),
        (np.ones(3), {}, ValueError, r"must be \[steps, layers\] .* got \[3\]"),
        (np.ones((1, 1)), {"rate": 44_100.0}, TypeError, "rate must be an integer, got float"),
        (np.ones((1, 1)), {"rate": 0}, ValueError, "from 22,050 to 192,000, got rate=0"),
        (np.ones((1, 1)), {"rate": 192_001}, ValueError, "got rate=192001"),
        (np.ones((1, 1)), {"tone_seconds": 0}, ValueError, "from 0.001 to 10, got tone_seconds=0"),
        (np.ones((1, 1)), {"tone_seconds": NAN}, ValueError, "got tone_seconds=nan"),
        (np.ones((1, 1)), {"tone_seconds": INF}, ValueError, "got tone_seconds=inf"),
        (np.ones((1_000_000, 4)), {}, ValueError, "4 GiB, got 2,646,000,000 samples of 2 bytes"),
    ],
)
def test_errors_leave_the_file_as_it_was(values, options, error, text, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    with pytest.raises(error, match=text):
        sound.write(path, values, **options)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    monkeypatch.setattr(wave.Wave_write, "writeframesraw", fail)
    with pytest.raises(OSError, match="no space left"):
        sound.write(path, np.ones((2, 2)))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
