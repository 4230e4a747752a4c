"""A file is the old one or the new one, whatever happens while it is written."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

import skvae
from skvae import VAETransformer
from skvae.persistence.writing import replace_by, write_whole
from tests.processes import apart
from tests.samples import curve


def killed(path, times, seed, saved):
    """How many files are found after processes that save models in turn have been killed."""
    models = [skvae.load(own) for own in saved]
    wanted = {own.read_bytes() for own in saved}
    found, delays = set(), random.Random(seed)
    for _ in range(times):
        child = os.fork()
        while child == 0:
            for vae in models:
                vae.save(path)
        time.sleep(delays.uniform(0.02, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found.add(path.read_bytes())
        assert found <= wanted
        skvae.load(path)
    return len(found)


@pytest.fixture
def saved(tmp_path):
    """Two models in files, which are not alike."""
    paths = []
    for n in (4, 7):
        paths.append(tmp_path / f"{n}.model")
        VAETransformer(1, max_iter=0).fit(curve(60, n)).save(paths[-1])
    return paths


@contextmanager
def short_files(n_bytes):
    """No file can be longer; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def kill_while_saving(saved, path, times, seed):
    """Kill processes that save two models in turn, at random moments."""
    path.write_bytes(saved[0].read_bytes())
    assert apart(killed, path, times, seed, saved) >= 1
    assert skvae.load(path).n_features_in_ in (4, 7)


def test_a_save_that_is_killed_leaves_one_of_both(saved, tmp_path):
    kill_while_saving(saved, tmp_path / "model.skvae", times=20, seed=0)


@pytest.mark.slow
def test_many_saves_that_are_killed(saved, tmp_path):
    kill_while_saving(saved, tmp_path / "model.skvae", times=300, seed=1)


def test_a_full_disk_leaves_the_old_file(saved, tmp_path):
    path = tmp_path / "model.skvae"
    path.write_bytes(saved[0].read_bytes())
    other = skvae.load(saved[1])
    with short_files(1000), pytest.raises(OSError, match="too large"):
        other.save(path)
    assert path.read_bytes() == saved[0].read_bytes()
    assert sorted(own.name for own in tmp_path.iterdir()) == ["4.model", "7.model", "model.skvae"]


@pytest.mark.slow
def test_a_small_disk_leaves_the_old_file(saved, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    try:
        path = disk / "model.skvae"
        path.write_bytes(saved[0].read_bytes())
        names = ["model.skvae", "other"]
        (disk / "other").write_bytes(bytes(2**20 - 4096 * (1 + -(-path.stat().st_size // 4096))))
        with pytest.raises(OSError, match="No space left"):
            skvae.load(saved[1]).save(path)
        assert path.read_bytes() == saved[0].read_bytes()
        assert sorted(own.name for own in disk.iterdir()) == names
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fails(file):
        file.write(b"new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_by(path, fails)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_synced_before_it_has_its_name(tmp_path, monkeypatch):
    path, done, sizes = tmp_path / "file", [], []
    sync = os.fsync

    def recorded(handle):
        done.append(path.exists())
        sizes.append(os.fstat(handle).st_size)
        sync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    write_whole(path, b"new")
    assert done == [False, True]  # the file, and its folder
    assert sizes[0] == 3  # all of it, and nothing in a buffer


def test_a_new_file_is_as_any_other(tmp_path):
    write_whole(tmp_path / "ours", b"")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_who_could_read_a_file_still_can(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_whole(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_folder_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nothing" / "file", b"new")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"make it first.*missing'$"):
        write_whole(tmp_path / "missing" / "model", b"")


def test_a_folder_in_the_place_of_the_file_is_told_in_plain_words(tmp_path):
    with pytest.raises(IsADirectoryError) as raised:
        write_whole(tmp_path, b"new")
    assert str(raised.value).endswith(f"{str(tmp_path)!r}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("letter", ["a", "é", "語", "🂡"])
def test_a_name_may_be_as_long_as_files_have_them(tmp_path, letter):
    name = letter * (255 // len(letter.encode()))
    write_whole(tmp_path / name, b"old")
    write_whole(tmp_path / name, b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"new"}


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder'") as raised:
        write_whole(tmp_path / "folder", b"new")
    assert raised.value.filename == str(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
