"""Files are written whole or not at all."""

import contextlib
import errno
import multiprocessing
import os
import resource
import shutil
import signal
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest
from null_device import is_device, null_device

from relustat import _files
from relustat._files import replacing

OLD, NEW = b"old" * 100_000, b"new!" * 100_000
NOBODY = 65534


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "relus.npz"
    file.write_bytes(OLD)
    return file


def save(path, content=NEW):
    with replacing(path) as file:
        file.write(content)


def names(folder):
    return sorted(os.listdir(folder))


def test_a_new_file_and_one_that_is_replaced(tmp_path):
    path = tmp_path / "relus.npz"
    for content in (OLD, NEW):
        save(path, content)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["relus.npz"]


@pytest.mark.parametrize("name", ["x" * 255, "€" * 85, "-rf", ".hidden", "a\nb", "\udcff"])
def test_names(tmp_path, name):
    save(tmp_path / name)
    save(tmp_path / name, OLD)
    assert (tmp_path / name).read_bytes() == OLD
    assert names(tmp_path) == [name]


def test_a_draft_is_on_the_disk_before_it_has_the_name(path, monkeypatch):
    done = []

    def synchronised(number):
        is_folder = stat.S_ISDIR(os.fstat(number).st_mode)
        done.append(("folder" if is_folder else "draft", path.read_bytes()))

    monkeypatch.setattr(os, "fsync", synchronised)
    save(path)
    assert done == [("draft", OLD), ("folder", NEW)]


def test_a_link_stays(tmp_path):
    (tmp_path / "far").mkdir()
    os.symlink("far/target.npz", tmp_path / "link.npz")
    os.symlink("link.npz", tmp_path / "linked.npz")
    for content in (OLD, NEW):  # at first it points to nothing
        save(tmp_path / "linked.npz", content)
        assert (tmp_path / "far" / "target.npz").read_bytes() == content
    assert os.readlink(tmp_path / "linked.npz") == "link.npz"
    assert os.readlink(tmp_path / "link.npz") == "far/target.npz"
    assert names(tmp_path) == ["far", "link.npz", "linked.npz"]
    assert names(tmp_path / "far") == ["target.npz"]


def test_links_in_a_circle(tmp_path):
    os.symlink("b", tmp_path / "a")
    os.symlink("a", tmp_path / "b")
    with pytest.raises(OSError, match=f"{tmp_path}/a") as raised:
        save(tmp_path / "a")
    assert raised.value.errno == errno.ELOOP
    assert names(tmp_path) == ["a", "b"]


def test_a_device_stays(tmp_path):
    device = null_device(tmp_path)
    os.symlink("null", tmp_path / "link")
    for path in (device, tmp_path / "link"):
        save(path)
        assert is_device(device)
    assert os.readlink(tmp_path / "link") == "null"
    assert names(tmp_path) == ["link", "null"]


def test_a_fifo_gets_the_bytes(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    with replacing(fifo) as file:
        file.write(b"....")
        file.seek(0)  # as a zip archive does
        file.write(NEW)
    reader.join()
    assert read == [NEW]
    assert stat.S_ISFIFO(os.stat(fifo).st_mode)
    assert names(tmp_path) == ["fifo"]


def test_the_standard_output_as_a_pipe():
    """Its name leads to no file that could have a draft."""
    reading, writing = os.pipe()
    with open(reading, "rb") as read:
        save(f"/proc/self/fd/{writing}", b"few bytes")
        os.close(writing)
        assert read.read() == b"few bytes"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666, 0o755])
def test_permissions_stay(path, mode):
    path.chmod(mode)
    with replacing(path) as file:
        draft_mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        file.write(NEW)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert draft_mode & ~mode == 0  # nobody reads the draft who may not read the file


def test_a_new_file_has_the_permissions_of_open(tmp_path):
    before = os.umask(0o027)
    try:
        save(tmp_path / "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.skipif(os.getuid() != 0, reason="root alone gives files away")
def test_the_owner_stays(path):
    os.chown(path, 1234, 2345)
    save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.fixture
def own_folder():
    """A folder in which permissions count, also if root runs the test."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.getuid() == 0
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
        os.setegid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_group_that_cannot_stay_hands_nothing_on(own_folder):
    if os.getuid() != 0:
        pytest.skip("root alone makes a file of another group")
    path = own_folder / "file"
    path.write_bytes(OLD)
    os.seteuid(0)
    os.chown(path, NOBODY, 1234)
    os.seteuid(NOBODY)
    path.chmod(0o664)
    save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def refuse(path, number):
    """The error names the path that was asked for, and the old files stay."""
    before = {each: (path.parent / each).lstat().st_ino for each in names(path.parent)}
    with pytest.raises(OSError, match=str(path)) as raised:
        save(path)
    assert (raised.value.errno, str(raised.value.filename)) == (number, str(path))
    assert raised.value.filename2 is None
    assert {each: (path.parent / each).lstat().st_ino for each in names(path.parent)} == before


def test_a_folder_that_is_read_only(own_folder):
    path = own_folder / "file"
    path.write_bytes(OLD)
    own_folder.chmod(0o555)
    refuse(path, errno.EACCES)
    refuse(own_folder / "new", errno.EACCES)
    assert path.read_bytes() == OLD


def test_a_file_that_must_not_be_written(own_folder):
    path = own_folder / "file"
    path.write_bytes(OLD)
    path.chmod(0o444)
    refuse(path, errno.EACCES)
    assert path.read_bytes() == OLD


def test_a_folder_that_cannot_be_listed(own_folder):
    own_folder.chmod(0o300)
    save(own_folder / "file")
    assert (own_folder / "file").read_bytes() == NEW


def test_what_is_in_the_way(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(OLD)
    refuse(tmp_path / "folder", errno.EISDIR)
    with pytest.raises(NotADirectoryError, match=r"file/relus\.npz"):
        save(tmp_path / "file" / "relus.npz")
    with pytest.raises(FileNotFoundError, match=r"none/relus\.npz"):
        save(tmp_path / "none" / "relus.npz")
    refuse(tmp_path / ("x" * 256), errno.ENAMETOOLONG)


@contextlib.contextmanager
def room_for(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("exists", [True, False])
def test_no_room(path, exists):
    if not exists:
        path.unlink()
    with room_for(10_000):
        refuse(path, errno.EFBIG)
    assert not exists or path.read_bytes() == OLD


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_late(path, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    refuse(path, errno.ENOSPC)
    assert path.read_bytes() == OLD


def test_a_folder_that_cannot_be_synchronised(path, monkeypatch):
    def fail(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "")

    monkeypatch.setattr(os, "fsync", fail)
    save(path)
    assert path.read_bytes() == NEW


def test_errors_of_other_files_stay_as_they_are(path):
    with pytest.raises(FileNotFoundError, match="/no/font") as raised, replacing(path):
        os.stat("/no/font")
    assert raised.value.filename == "/no/font"
    assert path.read_bytes() == OLD


def test_an_interrupt(path):
    def interrupted():
        with replacing(path) as file:
            file.write(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == OLD
    assert names(path.parent) == ["relus.npz"]


def test_two_saves_at_once(path):
    with replacing(path) as one:
        one.write(NEW[:5000])
        save(path, b"the other")
        assert path.read_bytes() == b"the other"
        one.write(NEW[5000:])
    assert path.read_bytes() == NEW
    assert names(path.parent) == ["relus.npz"]


def test_many_saves_at_once(path):
    def save_often(letter):
        for size in range(20):
            save(path, letter * (1000 * size + 1))

    threads = [threading.Thread(target=save_often, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        content = path.read_bytes()
        assert content == OLD or len(set(content)) == 1
    assert names(path.parent) == ["relus.npz"]


def killed(target, after=None):
    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def dies(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("module", "step"),
    [(os, "fsync"), (os, "replace"), (_files, "_take_permissions"), (_files, "_sync_folder")],
)
def test_a_kill_at_each_step(path, module, step):
    def target():
        setattr(module, step, dies)
        save(path)

    killed(target)
    is_renamed = step == "_sync_folder"
    assert path.read_bytes() == (NEW if is_renamed else OLD)
    assert len(names(path.parent)) == (1 if is_renamed else 2)
    save(path.with_name("another"))  # which leaves the drafts of others
    assert len(names(path.parent)) == (2 if is_renamed else 3)
    save(path, b"next")
    assert path.read_bytes() == b"next"
    assert names(path.parent) == ["another", "relus.npz"]


def test_kills_at_any_moment(path):
    def save_forever():
        while True:
            save(path, OLD)
            save(path, NEW)

    for kill in range(12):
        killed(save_forever, after=0.01 + 0.0037 * kill)
        assert path.read_bytes() in (OLD, NEW)
    save(path, b"next")
    assert names(path.parent) == ["relus.npz"]


def test_a_draft_taken_for_stale_before_it_is_locked(path, monkeypatch):
    lock, taken = _files.fcntl.flock, []

    def late(file, operation):
        if operation == _files.fcntl.LOCK_EX and not taken:
            taken.append(True)
            save(path, b"the other")
        lock(file, operation)

    monkeypatch.setattr(_files.fcntl, "flock", late)
    save(path)
    assert path.read_bytes() == NEW
    assert names(path.parent) == ["relus.npz"]


def test_what_looks_like_a_draft(path):
    """Links and pipes of others must neither be opened for long nor followed."""
    prefix = _files._prefix(path)
    os.mkfifo(path.with_name(f"{prefix}0.draft"))
    path.with_name("precious").write_bytes(OLD)
    os.symlink("precious", path.with_name(f"{prefix}1.draft"))
    save(path)
    assert path.with_name("precious").read_bytes() == OLD
    assert path.read_bytes() == NEW
