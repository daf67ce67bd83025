"""Draw OpenMoji's outlines and colors as pairs of PNG files, in a training and a test set.

    pip install resvg-py
    python pipelines/quick/render_openmoji.py [FOLDER]      # default data/emoji; see get_emoji.sh

It reads FOLDER/node_modules/openmoji/{black,color}/svg and writes
FOLDER/openmoji/{train,test}/{outline,color}/NAME.png. Emoji that are variants of one drawing (skin
tones, man and woman) are in one set.
"""

import sys
from pathlib import Path

import resvg_py
from ganforge_emoji.domains import part_of

SIDE = 64
TEST_PERCENT = 10
STYLES = {"outline": "black", "color": "color"}


def main(folder: Path) -> None:
    """Draw every emoji in both styles."""
    package = folder / "node_modules" / "openmoji"
    styles = {style: package / name / "svg" for style, name in STYLES.items()}
    files = [{path.name for path in folder.glob("*.svg")} for folder in styles.values()]
    names = sorted(set.intersection(*files))
    if not names:
        sys.exit(
            f"{package} holds no drawings. Get them with pipelines/quick/get_emoji.sh {folder}"
        )
    for name in names:
        is_test = part_of(name.lower().replace(".svg", ".png"), TEST_PERCENT) == "test"
        for style, drawings in styles.items():
            out = folder / "openmoji" / ("test" if is_test else "train") / style
            out.mkdir(parents=True, exist_ok=True)
            png = resvg_py.svg_to_bytes(
                svg_path=str(drawings / name), width=SIDE, height=SIDE, background="#ffffff"
            )
            (out / name.replace(".svg", ".png")).write_bytes(bytes(png))
    sys.stdout.write(f"{folder / 'openmoji'}: {len(names)} pairs\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/emoji"))
