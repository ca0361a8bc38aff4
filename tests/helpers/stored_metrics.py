"""What tools have stored, read from their own files."""

import json
import struct
import time

import numpy as np


def as_float32(numbers):
    """As TensorBoard keeps them."""
    return {name: float(np.float32(number)) for name, number in numbers.items()}


def read_tensorboard(folder):
    """Scalars, and histograms as counts and edges, by step and name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stored = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    stored.Reload()
    scalars, histograms = {}, {}
    for name in stored.Tags()["scalars"]:
        for event in stored.Scalars(name):
            scalars.setdefault(event.step, {})[name] = event.value
    for name in stored.Tags()["histograms"]:
        for event in stored.Histograms(name):
            value = event.histogram_value
            assert value.num == sum(value.bucket)
            assert value.max == value.bucket_limit[-1]
            edges = [value.min, *value.bucket_limit]
            histograms.setdefault(event.step, {})[name] = [value.bucket, edges]
    return scalars, histograms


def _records(content):
    """The records of a log of LevelDB: in blocks of 32 KiB, whole or in parts."""
    header, block = 7, 2**15
    position, parts = header, b""
    while position < len(content):
        left = block - position % block
        if left < header:
            position += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, position)
        parts += content[position + header : position + header + size]
        position += header + size
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def read_wandb(path):
    """What each ``run.log`` of an offline run has stored, by name."""
    from wandb.proto.wandb_internal_pb2 import Record

    records, waited = [], time.monotonic() + 60
    # Another process writes it, and is not done when the run is.
    while not any(record.HasField("exit") for record in records):
        assert time.monotonic() < waited, "the run has no end"
        records = list(map(Record.FromString, _records(path.read_bytes())))
    return [
        {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for record in records
        if record.HasField("history")
    ]
