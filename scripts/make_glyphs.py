"""Makes `energyam/datasets/glyphs.npz` and `glyphs.txt`: 1,024 pictures, 48 × 48, one bit a pixel.

Every named character of DejaVu Sans Bold (the font that matplotlib ships) is drawn large, cropped to its ink,
scaled to fit the picture and cut at half grey. Characters are then taken block by block, familiar scripts
first, and one is kept only if its overlap with every character kept before is at most .7.

    python scripts/make_glyphs.py

The bits are kept in the repository because the result depends on the version of FreeType. The script needs
matplotlib (for its fonts), Pillow and fontTools, which comes with matplotlib.
"""

import sys
import unicodedata
from pathlib import Path

import matplotlib
import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
FOLDER = Path(__file__).parents[1] / "energyam" / "datasets"
NUM_GLYPHS = 1024
SIDE, MARGIN, DRAWN = 48, 1, 256
MAX_OVERLAP = 0.7
INK = (0.12, 0.6)  # shares of dark pixels that make a picture, neither a speck nor a blot
FIRST_BLOCKS = [
    (0x30, 0x39),  # digits
    (0x41, 0x5A),  # A to Z
    (0x61, 0x7A),  # a to z
    (0x391, 0x3C9),  # Greek
    (0x410, 0x44F),  # Cyrillic
    (0x2654, 0x26FF),  # chess, planets, weather
    (0x2701, 0x27BF),  # dingbats
    (0x5D0, 0x5EA),  # Hebrew
    (0x531, 0x587),  # Armenian
    (0x10A0, 0x10FF),  # Georgian
    (0x2190, 0x21FF),  # arrows
]


def character_order() -> list[int]:
    """Code points of the font that have a letter's, digit's or symbol's name, familiar blocks first."""
    known = TTFont(FONT).getBestCmap()
    named = [c for c in sorted(known) if unicodedata.category(chr(c))[0] in "LNSP" and _name(c)]
    first = [c for low, high in FIRST_BLOCKS for c in named if low <= c <= high]
    return first + [c for c in named if c not in set(first)]


def draw(code_point: int, font: ImageFont.FreeTypeFont) -> np.ndarray | None:
    """The character as (48, 48) int8, ink −1 on paper +1; None where it has too much or too little ink."""
    canvas = Image.new("L", (3 * DRAWN, 3 * DRAWN), 0)
    ImageDraw.Draw(canvas).text((DRAWN, DRAWN // 2), chr(code_point), font=font, fill=255)
    box = canvas.getbbox()
    if box is None:
        return None
    ink = canvas.crop(box)
    scale = (SIDE - 2 * MARGIN) / max(ink.size)
    width, height = (max(1, round(scale * length)) for length in ink.size)
    picture = Image.new("L", (SIDE, SIDE), 0)
    picture.paste(
        ink.resize((width, height), Image.Resampling.BOX), ((SIDE - width) // 2, (SIDE - height) // 2)
    )
    dark = np.asarray(picture) >= 128
    return np.where(dark, -1, 1).astype(np.int8) if INK[0] <= dark.mean() <= INK[1] else None


def choose(order: list[int]) -> tuple[list[int], np.ndarray]:
    """The first 1,024 characters of `order` with no near duplicate among those taken before."""
    font = ImageFont.truetype(str(FONT), DRAWN)
    chosen: list[int] = []
    pictures = np.zeros((NUM_GLYPHS, SIDE * SIDE), np.int32)
    for code_point in order:
        picture = draw(code_point, font)
        if picture is None:
            continue
        overlaps = pictures[: len(chosen)] @ picture.ravel() / picture.size
        if overlaps.max(initial=0) <= MAX_OVERLAP:
            pictures[len(chosen)] = picture.ravel()
            chosen.append(code_point)
        if len(chosen) == NUM_GLYPHS:
            break
    return chosen, pictures[: len(chosen)]


def main() -> None:
    chosen, pictures = choose(character_order())
    if len(chosen) < NUM_GLYPHS:
        sys.exit(f"only {len(chosen)} characters differ enough")
    np.savez_compressed(FOLDER / "glyphs.npz", bits=np.packbits(pictures > 0, axis=-1))
    (FOLDER / "glyphs.txt").write_text("".join(f"{_name(c)}\n" for c in chosen), encoding="utf-8")
    share = (pictures @ pictures.T)[~np.eye(NUM_GLYPHS, dtype=bool)] / SIDE**2
    print(f"{NUM_GLYPHS} glyphs, mean overlap {share.mean():.3f}, largest {share.max():.3f}")


def _name(code_point: int) -> str:
    return unicodedata.name(chr(code_point), "")


if __name__ == "__main__":
    main()
