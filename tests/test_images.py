"""Folders of pictures as ±1 patterns, and the folders and files that are refused."""

import functools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from energyam import datasets

load_image, load_images = (
    functools.partial(load, binary=True) for load in (datasets.load_image, datasets.load_images)
)


def disc(side, ink, paper):
    """A grey picture of a disc."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return Image.fromarray(np.where(x**2 + y**2 < (side / 3) ** 2, ink, paper).astype(np.uint8))


def test_pictures_of_all_sizes_and_kinds_become_one_shape(tmp_path):
    disc(96, 0, 255).save(tmp_path / "b.png")
    disc(30, 90, 120).convert("RGB").save(tmp_path / "a.JPG", quality=95)  # little contrast
    disc(48, 10, 200).resize((96, 48)).convert("P").save(tmp_path / "c.gif")
    disc(200, 0, 255).convert("1").save(tmp_path / "d.bmp")
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
    for content in ((tmp_path / "good.png").read_bytes()[:60], b""):
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.png"):
            load_image(tmp_path / "bad.png")
        with pytest.warns(UserWarning, match=r"skipped 1 of 2 pictures in .*: bad\.png \("):
            found = load_images(tmp_path)
        assert found.names == ["good.png"] and found.patterns.shape == (1, 48, 48)
    (tmp_path / "good.png").unlink()
    with pytest.raises(ValueError, match=r"folder must hold pictures that can be read; got bad\.png \("):
        load_images(tmp_path)
    with pytest.raises(ValueError, match=r"none\.png"):
        load_image(tmp_path / "none.png")


def test_pictures_stay_grey_unless_asked_otherwise(tmp_path):
    Image.fromarray(np.linspace(0, 255, 48 * 48).reshape(48, 48).astype(np.uint8)).save(tmp_path / "disc.png")
    one, all_of_them = datasets.load_image(tmp_path / "disc.png"), datasets.load_images(tmp_path).patterns
    assert one.dtype == all_of_them.dtype == np.float32
    np.testing.assert_array_equal(one, all_of_them[0])
    np.testing.assert_array_equal(one, datasets.load_image(tmp_path / "disc.png", binary=False))
    assert len(np.unique(one)) > 2


def test_files_that_are_no_pictures_are_passed_over_and_named(tmp_path):
    disc(20, 0, 255).save(tmp_path / "good.png")
    for name in ("paper.pdf", "notes.txt", "table.h5", "README"):
        (tmp_path / name).write_text("no picture")
    with pytest.warns(UserWarning, match=r"skipped in .*: README, notes\.txt, paper\.pdf, table\.h5"):
        assert load_images(tmp_path).names == ["good.png"]
    for number in range(20):
        (tmp_path / f"notes{number}.txt").touch()
    with pytest.warns(UserWarning, match=r"README, notes\.txt, notes0\.txt, .* and 19 more"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match=r"paper\.pdf"):
        load_image(tmp_path / "paper.pdf")


def saved(picture, path):
    """Whether Pillow can write, here, pictures of this ending."""
    try:
        picture.save(path)
    except (OSError, KeyError, ValueError):
        return False
    return True


ENDINGS = "avif blp bmp dds dib gif icns ico im jp2 jpg mpo msp pcx png ppm qoi sgi tga tif webp xbm".split()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage before it fails
def test_damage_to_any_format_is_told_by_name(tmp_path):
    rng, refused = np.random.default_rng(0), set()
    for kind in ("L", "1", "RGB", "P"):
        for path in (tmp_path / f"sound.{ending}" for ending in ENDINGS):
            if not saved(disc(64, 0, 255).convert(kind), path):
                continue
            content = path.read_bytes()
            for damaged in (content[: len(content) // 2], content[:20], scattered(content, rng)):
                (tmp_path / "bad.picture").write_bytes(damaged)
                try:
                    load_image(tmp_path / "bad.picture")
                except ValueError as error:
                    assert "bad.picture" in str(error) and "\n" not in str(error)
                    refused.add(path.suffix)
    assert len(refused) > 10


def scattered(content, rng):
    """The content with one byte in twenty, from the 17th on, another one."""
    values = np.frombuffer(content, np.uint8).copy()
    places = rng.choice(np.arange(16, values.size), values.size // 20)
    values[places] = rng.integers(0, 256, places.size)
    return values.tobytes()


def exif(tag):
    """EXIF that says "turned by 90°" and has `tag`: its number, type, count and four bytes."""
    entries = sorted([(0x0112, 3, 1, struct.pack("<HH", 6, 0)), tag])
    packed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + packed + struct.pack("<Iii", 0, -1, 0)


MINUS_1_OVER_0 = struct.pack("<I", 8 + 2 + 2 * 12 + 4)  # where `exif` puts these two numbers


@pytest.mark.parametrize(
    "tag",
    [
        (0x011A, 10, 1, MINUS_1_OVER_0),  # XResolution, signed, unsigned and as text
        (0x011A, 5, 1, MINUS_1_OVER_0),
        (0x011A, 2, 4, b"dpi\0"),
        (0x8769, 4, 1, struct.pack("<I", 99999)),  # a directory that is not there
        (0x8825, 2, 4, b"gps\0"),
    ],
)
def test_of_exif_only_the_orientation_is_read(tmp_path, tag):
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[:10] = 0
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif(tag))
    pattern = load_image(tmp_path / "turned.jpg", (4, 4))
    assert (pattern[:, :3] == 1).all() and (pattern[:, 3] == -1).all()


@pytest.mark.parametrize("name", ["turned.png", "turned.tif", "turned.jpg"])
def test_pictures_are_upright_whatever_the_orientation(tmp_path, name):
    upright = np.ones((4, 4), np.int8)
    upright[0], upright[:3, 0] = -1, -1  # like none of its turns
    stored = [upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1]]
    stored += [upright.T, np.rot90(upright), upright[::-1, ::-1].T, np.rot90(upright, -1)]
    for orientation, pattern in enumerate(stored, start=1):
        tags = Image.Exif()
        tags[0x0112] = orientation
        picture = Image.fromarray(np.where(pattern > 0, 255, 0).astype(np.uint8)).resize((32, 32), 0)
        picture.save(tmp_path / name, exif=tags)
        assert (load_image(tmp_path / name, (4, 4)) == upright).all(), orientation


def test_an_unreadable_exif_leaves_the_picture_as_it_lies(tmp_path):
    disc(20, 0, 255).save(tmp_path / "odd.png", exif=b"Exif\0\0no exif at all")
    assert load_image(tmp_path / "odd.png", (20, 20))[10, 10] == -1


def png(bits, colour, row, clear):
    """A PNG of one row: bits of a value, kind of colour, packed pixels, and what is transparent."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = len(row) * 8 // bits // (3 if colour == 2 else 1)
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tRNS", clear), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def words(*values):
    return struct.pack(f">{len(values)}H", *values)


@pytest.mark.parametrize(
    ("bits", "colour", "row", "clear"),
    [  # four pixels: a dark one that is transparent, and so paper; two of ink; a light one
        (2, 0, bytes([0b00_01_01_11]), words(0)),
        (2, 0, bytes([0b01_00_00_11]), words(1)),
        (4, 0, bytes([0x35, 0x5F]), words(3)),
        (8, 0, bytes([10, 30, 30, 200]), words(10)),
        (16, 0, words(0, 9000, 9000, 60000), words(0)),
        (16, 0, words(2000, 9000, 9000, 60000), words(2000)),
        (8, 2, bytes([10] * 3 + [30] * 6 + [200] * 3), words(10, 10, 10)),
        (16, 2, words(*[2000] * 3, *[9000] * 6, *[60000] * 3), words(2000, 2000, 2000)),
    ],
)
def test_a_transparent_value_is_paper_at_any_depth(tmp_path, bits, colour, row, clear):
    (tmp_path / "clear.png").write_bytes(png(bits, colour, row, clear))
    assert load_image(tmp_path / "clear.png", (1, 4)).tolist() == [[1, -1, -1, 1]]


def test_nan_is_named_as_such(tmp_path):
    values = np.asarray(disc(20, 0, 1), np.float32)
    for wrong in (np.nan, np.inf):
        Image.fromarray(np.where(np.eye(20) > 0, np.float32(wrong), values)).save(tmp_path / "float.tif")
        with pytest.raises(ValueError, match=r"finite.*float\.tif.*NaN or infinity"):
            load_image(tmp_path / "float.tif")


@pytest.mark.parametrize("side", [16, 48, 300])
def test_hot_pixels_do_not_take_the_threshold(tmp_path, side):
    clean = np.where(np.asarray(disc(side, 0, 255)) == 0, 1000, 1400)
    noisy = clean + np.random.default_rng(0).integers(0, 50, clean.shape)
    noisy[3, 3], noisy[side // 2, side // 2] = 65535, 0
    Image.fromarray(noisy.astype(np.uint16)).save(tmp_path / "hot.png")
    found = load_image(tmp_path / "hot.png", (side, side))
    assert (found == np.where(clean == 1000, -1, 1)).all()


def test_one_pixel_of_ink_is_enough(tmp_path):
    pixels = np.full((16, 16), 4000, np.uint16)
    pixels[5, 5] = 3000
    Image.fromarray(pixels).save(tmp_path / "dot.png")
    assert np.argwhere(load_image(tmp_path / "dot.png", (16, 16)) == -1).tolist() == [[5, 5]]


@pytest.mark.usefixtures("no_hook")
def test_what_is_no_path_is_named():
    with pytest.raises(ValueError, match="file must be the path of a file"):
        load_image(5)
    with pytest.raises(ValueError, match="folder must be the path of a file"):
        load_images(None)


def test_one_shade_is_no_pattern(tmp_path):
    Image.new("L", (20, 20), 77).save(tmp_path / "flat.png")
    with pytest.raises(ValueError, match=r"flat\.png.*one shade"):
        load_images(tmp_path)


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(ValueError, match="must hold pictures"):
        load_images(tmp_path)
    with pytest.raises(ValueError, match="folder must be a folder"):
        load_images(tmp_path / "nowhere")


@pytest.mark.usefixtures("no_hook")
@pytest.mark.parametrize("shape", [48, (48,), (0, 4), (4.0, 4), "ab", (2**40, 4), (4, 10**400)])
def test_bad_shapes_are_refused(tmp_path, shape):
    disc(20, 0, 255).save(tmp_path / "good.png")
    with pytest.raises(ValueError, match="shape"):
        load_image(tmp_path / "good.png", shape)
