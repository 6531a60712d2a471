"""Downloads, without a network: what is in the cache folder is checked, and what is not is explained."""

import gzip
import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from energyam.datasets import cache_folder, downloads, fetch, mnist, sprites


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("ENERGYAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pinned(cache, monkeypatch):
    """`pinned(name, content)`: a server that has this content, which is the one expected."""
    server = {}

    def download(name, part):
        part.write_bytes(server[name])

    def pin(name, content, expected=None):
        server[name] = content
        checksum = f"md5:{hashlib.md5(expected or content).hexdigest()}"
        monkeypatch.setitem(downloads.FILES, name, downloads.RemoteFile("https://example.org/x", checksum))

    monkeypatch.setattr(downloads, "_download", download)
    return pin


def test_a_file_is_fetched_once_and_kept(cache, pinned, monkeypatch):
    pinned("pokesprites_names.txt", b"eevee\npichu\n")
    path = fetch("pokesprites_names.txt")
    assert path == cache / "pokesprites_names.txt" and path.read_bytes() == b"eevee\npichu\n"
    monkeypatch.setattr(downloads, "_download", None)
    assert fetch("pokesprites_names.txt") == path
    assert [file.name for file in cache.iterdir()] == ["pokesprites_names.txt"]


def test_a_wrong_checksum_is_refused_and_not_kept(cache, pinned):
    pinned("pokesprites_names.txt", b"half of", expected=b"half of it")
    with pytest.raises(ValueError, match="checksum"):
        fetch("pokesprites_names.txt")
    assert list(cache.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_refused(cache):
    cache.mkdir()
    (cache / "images_evaluation.zip").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"images_evaluation\.zip.*git checksum 8ccde0ed.*Delete it"):
        fetch("images_evaluation.zip")


def test_git_checksums_are_those_of_git(cache, monkeypatch):
    cache.mkdir()
    (cache / "hello").write_bytes(b"hello\n")
    file = downloads.RemoteFile("https://example.org/x", "git:ce013625030ba8dba906f756967f9e9ca394464a")
    monkeypatch.setitem(downloads.FILES, "hello", file)
    assert fetch("hello") == cache / "hello"


@pytest.fixture
def address(tmp_path):
    """The address of a web server on this machine that has one file, `hello`."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "hello").write_bytes(b"hello\n")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served")) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_files_come_from_a_server(cache, address, monkeypatch):
    checksum = "git:ce013625030ba8dba906f756967f9e9ca394464a"
    for name in ("hello", "gone"):
        monkeypatch.setitem(downloads.FILES, name, downloads.RemoteFile(address + name, checksum))
    assert fetch("hello").read_bytes() == b"hello\n"
    with pytest.raises(FileNotFoundError, match=r"gone is not in .* put it there"):
        fetch("gone")
    monkeypatch.setitem(downloads.FILES, "other", downloads.RemoteFile(address + "hello", "md5:0"))
    with pytest.raises(
        ValueError, match=r"what came from http.*hello must have the md5 checksum 0; got b1946"
    ):
        fetch("other")
    assert [file.name for file in cache.iterdir()] == ["hello"]


def test_without_a_network_one_error_says_what_to_do(cache, monkeypatch):
    class Offline:
        def __init__(self, **options):
            pass

        def __call__(self, url, output_file, pooch):
            raise ConnectionError("no network")

    monkeypatch.setattr("pooch.HTTPDownloader", Offline)
    with pytest.raises(FileNotFoundError) as error:
        fetch("images_background.zip")
    told = str(error.value)
    assert "images_background.zip" in told and str(cache) in told and "https://" in told and "put it" in told


def test_unknown_names_are_refused(cache):
    with pytest.raises(ValueError, match="name must be one of"):
        fetch("cifar.zip")


def test_the_cache_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("ENERGYAM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("ENERGYAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "energyam"


def test_sprites_and_digits_are_read(cache, pinned, tmp_path):
    np.save(tmp_path / "pixels.npy", np.tile(np.array([0, 255], np.uint8), 2 * 1152).reshape(2, 48, 48))
    pinned("pokesprites_pixels.npy", (tmp_path / "pixels.npy").read_bytes())
    pinned("pokesprites_names.txt", b"eevee.png\npichu.png")
    patterns, names = sprites()
    assert patterns.shape == (2, 48, 48) and names == ["eevee", "pichu"]
    assert patterns.dtype == np.int8 and patterns[0, 0, :2].tolist() == [-1, 1]
    pixels = np.zeros(784, np.uint8)
    pixels[5] = 200
    pinned("t10k-images-idx3-ubyte.gz", gzip.compress(bytes(16) + pixels.tobytes()))
    pinned("t10k-labels-idx1-ubyte.gz", gzip.compress(bytes(8) + b"\x07"))
    digits = mnist(train=False)
    assert digits.images.shape == (1, 28, 28) and digits.labels.tolist() == [7]
    assert digits.binary()[0, 0, 4:7].tolist() == [1, -1, 1]
