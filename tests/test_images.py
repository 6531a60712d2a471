"""Folders of pictures as ±1 patterns, and the folders and files that are refused."""

import numpy as np
import pytest
from PIL import Image

from energyam.datasets import load_image, load_images


def disc(side, ink, paper):
    """A grey picture of a disc."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return Image.fromarray(np.where(x**2 + y**2 < (side / 3) ** 2, ink, paper).astype(np.uint8))


def test_pictures_of_all_sizes_and_kinds_become_one_shape(tmp_path):
    disc(96, 0, 255).save(tmp_path / "b.png")
    disc(30, 90, 120).convert("RGB").save(tmp_path / "a.JPG", quality=95)  # little contrast
    disc(48, 10, 200).resize((96, 48)).convert("P").save(tmp_path / "c.gif")
    disc(200, 0, 255).convert("1").save(tmp_path / "d.bmp")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    patterns, names = load_images(tmp_path, (24, 24))
    assert names == ["a.JPG", "b.png", "c.gif", "d.bmp"]
    assert patterns.shape == (4, 24, 24) and patterns.dtype == np.int8
    assert (patterns[:, 12, 12] == -1).all() and (patterns[:, 0, 0] == 1).all()
    assert (patterns[0] == patterns[1]).mean() > 0.95


def test_the_middle_is_cropped(tmp_path):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:15] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    pattern = load_image(tmp_path / "wide.png", (10, 10))
    assert (pattern[:, :5] == 1).all() and (pattern[:, 5:] == -1).all()


def test_transparent_parts_are_paper(tmp_path):
    layers = np.zeros((8, 8, 4), np.uint8)
    layers[2:6, 2:6, 3] = 255  # black ink on nothing
    Image.fromarray(layers).save(tmp_path / "ink.png")
    pattern = load_image(tmp_path / "ink.png", (8, 8))
    assert (pattern[2:6, 2:6] == -1).all() and (pattern == -1).sum() == 16


def test_sixteen_bits_a_pixel_are_kept(tmp_path):
    ramp = np.repeat(np.linspace(3000, 60000, 16).astype(np.uint16)[None], 16, axis=0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pattern = load_image(tmp_path / "ramp.png", (16, 16))
    assert (pattern[:, :8] == -1).all() and (pattern[:, 8:] == 1).all()


def test_broken_files_are_named(tmp_path):
    disc(20, 0, 255).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"bad\.png"):
        load_images(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"bad\.png"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match=r"none\.png"):
        load_image(tmp_path / "none.png")


def test_one_shade_is_no_pattern(tmp_path):
    Image.new("L", (20, 20), 77).save(tmp_path / "flat.png")
    with pytest.raises(ValueError, match=r"flat\.png.*one shade"):
        load_images(tmp_path)


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(ValueError, match="must hold pictures"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match="folder must be a folder"):
        load_images(tmp_path / "nowhere")


@pytest.mark.parametrize("shape", [48, (48,), (0, 4), (4.0, 4), "ab"])
def test_bad_shapes_are_refused(tmp_path, shape):
    disc(20, 0, 255).save(tmp_path / "good.png")
    with pytest.raises(ValueError, match="shape"):
        load_image(tmp_path / "good.png", shape)
