"""The file of a stream: appended, whole or cut, and nothing else is written to."""

import json
import os

import pytest
from forking import exit_code_of_child

from relustat.report import read_records
from relustat.report.stream.json_lines import JsonLines


def record(number, sites=("a", "b")):
    return [
        {"record": number, "call_sites": len(sites), "call_site": site, "dead": index}
        for index, site in enumerate(sites)
    ]


def append(path, *records):
    file = JsonLines(path)
    for each in records:
        file.append(each)
    file.close()
    return path


def test_records_are_appended(tmp_path):
    path = append(tmp_path / "run.jsonl", record(0), record(1))
    append(path, record(2, ["a\n\ud800", "ü"]))
    assert list(read_records(path)) == [record(0), record(1), record(2, ["a\n\ud800", "ü"])]
    again = JsonLines(path)
    assert again.records == 3
    again.close()
    again.close()


def test_a_cut_anywhere_loses_the_last_record_alone(tmp_path):
    path = append(tmp_path / "run.jsonl", record(0), record(1), record(2))
    whole = path.read_bytes()
    first, second, _ = (json.dumps(row).encode() for row in (*record(0), record(1)[0]))
    of_two = len(whole) * 2 // 3
    assert whole.startswith(first + b"\n" + second + b"\n")
    for cut in range(of_two, len(whole)):
        path.write_bytes(whole[:cut])
        assert list(read_records(path)) == [record(0), record(1)]
        append(path, record(9))
        assert list(read_records(path)) == [record(0), record(1), record(9)]
        lines = path.read_text().splitlines()
        assert all(json.loads(line)["call_site"] in ("a", "b") for line in lines)


def test_a_long_line_is_found(tmp_path):
    path = append(tmp_path / "run.jsonl", record(4, ["x" * 200_000]))
    with path.open("ab") as file:
        file.write(json.dumps(record(5, ["y" * 150_000])[0]).encode()[:140_000])
    again = JsonLines(path)
    assert again.records == 5
    again.close()
    assert list(read_records(path)) == [record(4, ["x" * 200_000])]


@pytest.mark.parametrize(
    "content",
    ["x", "a,b\n1,2\n", "\n", '{"a": 1}\n', '[{"record": 1}]\n', '{"record": true}\n', "{" * 9999],
)
def test_other_files_stay_as_they_are(tmp_path, content):
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"run.jsonl must be a stream, got a file of another kind"):
        JsonLines(path)
    assert path.read_text() == content


def test_other_lines_are_an_error(tmp_path):
    path = append(tmp_path / "run.jsonl", record(0))
    with path.open("a") as file:
        file.write("{}\n")
    with pytest.raises(ValueError, match=r"run.jsonl must be a stream, got another line 3"):
        list(read_records(path))


def test_one_stream_at_a_time(tmp_path):
    path = tmp_path / "run.jsonl"
    first = JsonLines(path)
    with pytest.raises(ValueError, match="must be a file of its own, got one that another stream"):
        JsonLines(path)
    first.close()
    JsonLines(path).close()


def test_a_forked_process_leaves_the_file_to_its_parent(tmp_path):
    path = tmp_path / "run.jsonl"
    first = JsonLines(path)

    def child():
        with pytest.raises(OSError, match="Bad file descriptor"):
            first.append(record(0))

    assert exit_code_of_child(child) == 0
    first.append(record(1))
    first.close()
    assert list(read_records(path)) == [record(1)]


def test_devices_and_folders(tmp_path):
    os.mkfifo(tmp_path / "run.jsonl")
    with pytest.raises(ValueError, match="must be a plain file, got a device or a pipe"):
        JsonLines(tmp_path / "run.jsonl")
    with pytest.raises(IsADirectoryError):
        JsonLines(tmp_path)


def test_a_full_disk_leaves_whole_records(tmp_path, monkeypatch):
    path = append(tmp_path / "run.jsonl", record(0))
    file, write = JsonLines(path), os.write
    left = [10]

    def few(target, content):
        if not left:
            raise OSError(28, "No space left on device")
        return write(target, content[: left.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", few)
        with pytest.raises(OSError, match="No space left"):
            file.append(record(1))
    assert list(read_records(path)) == [record(0)]
    file.append(record(2))
    file.close()
    assert list(read_records(path)) == [record(0), record(2)]
