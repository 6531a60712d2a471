"""The Omniglot loader, on tiny zips in Omniglot's layout."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from energyam.datasets import omniglot


def picture(row):
    """A 105 × 105 one-bit PNG with one black row."""
    pixels = np.full((105, 105), 255, np.uint8)
    pixels[row] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def zipped(tmp_path):
    """`zipped(classes)`: a zip with so many pictures of each class."""

    def write(classes):
        with zipfile.ZipFile(tmp_path / "small.zip", "w") as archive:
            archive.writestr("small/", "")
            for number, (name, count) in enumerate(classes.items()):
                for drawer in range(count):
                    archive.writestr(f"small/{name}/{number:04}_{drawer:02}.png", picture(4 * number + 1))
        return tmp_path / "small.zip"

    return write


def test_classes_drawers_and_alphabets(zipped):
    path = zipped({"Greek/character02": 3, "Greek/character01": 3, "Latin/character01": 3})
    characters = omniglot(path, size=35)
    assert characters.images.shape == (3, 3, 35, 35) and characters.images.dtype == np.float32
    assert characters.names == ["Greek/character01", "Greek/character02", "Latin/character01"]
    assert characters.alphabets() == {"Greek": [0, 1], "Latin": [2]}
    ink = characters.images.sum(axis=(1, 3))
    assert np.argmax(ink, axis=1).tolist() == [1, 0, 3]
    assert characters.images[0, 0, 1, 0] == pytest.approx(1 / 3, abs=0.01)  # one black row of three


def test_an_unpacked_folder_gives_what_its_zip_gives(zipped, tmp_path):
    path = zipped({"Greek/character02": 2, "Greek/character01": 2, "Latin/character01": 2})
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    inside = tmp_path / "unpacked" / "small"
    (inside / "Greek" / "character01" / "._0001_00.png").write_bytes(b"a Mac's notes")
    for folder in (tmp_path / "unpacked", inside):
        characters = omniglot(folder, size=35)
        assert characters.names == omniglot(path).names
        np.testing.assert_array_equal(characters.images, omniglot(path, size=35).images)
    (inside / "Latin" / "character01" / "0002_00.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"unpacked.*Latin/character01/0002_00\.png"):
        omniglot(tmp_path / "unpacked")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures"):
        omniglot(tmp_path / "empty")


def test_damaged_zips_are_named(zipped, tmp_path):
    content = zipped({"Greek/character01": 2}).read_bytes()
    for damaged in (content[:100], b"", content.replace(b"IDAT", b"IDOT")):
        (tmp_path / "bad.zip").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"bad\.zip"):
            omniglot(tmp_path / "bad.zip")


def test_other_layouts_are_refused(zipped):
    with pytest.raises(ValueError, match="no pictures"):
        omniglot(zipped({}))
    with pytest.raises(ValueError, match=r"equally many of each.*\[1, 2\]"):
        omniglot(zipped({"Greek/character01": 1, "Greek/character02": 2}))


def test_other_sources_are_refused(zipped, tmp_path):
    with pytest.raises(ValueError, match="images_background_small1"):
        omniglot(tmp_path / "nowhere.zip")
    with pytest.raises(ValueError, match="size"):
        omniglot(zipped({"Greek/character01": 1}), size=0)
