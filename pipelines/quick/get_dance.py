"""Make the synthetic clips that pipelines/quick/dance_synthetic.yaml learns from.

    python pipelines/quick/get_dance.py [FOLDER]      (default data/dance; 2 MB, a few seconds)

A procedurally animated figure dances: its frames are FOLDER/frames/dancer/000.png ..., and its
joints FOLDER/dancer.json (COCO-17, as a pose estimator would give them). FOLDER/other.json are the
joints of another, taller figure that dances elsewhere: what the model is to imitate. Nothing of it
shows a person; drawn by this file, in the public domain (CC0).
"""

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE, FRAMES, OTHERS = 64, 300, 60
ENLARGED = 8
"""Frames are drawn larger, and reduced: soft edges."""
SKIN, SHIRT, TROUSERS, HAIR, SHOES = "#e8b796", "#c8323c", "#2d4a8a", "#3a2a20", "#e8e8e8"
Points = NDArray[np.float64]


def joints(time: float, unit: float, floor: float, column: float) -> Points:
    """The joints [17, 2] of a dancer at a time in beats; `unit` is a tenth of the height."""
    beat = 2 * np.pi * time
    sway, bounce = 0.8 * np.sin(beat / 4), 0.25 * np.abs(np.sin(beat))
    hip = np.array([column + sway * unit, floor - (4.6 - bounce) * unit])
    lean = 0.15 * np.sin(beat / 4 + 1)
    neck = hip + unit * 3.2 * np.array([np.sin(lean), -np.cos(lean)])
    nose = neck + unit * np.array([0.5 * np.sin(beat / 8) + np.sin(lean), -1.1])
    across = unit * np.array([np.cos(0.3 * np.sin(beat / 8)), 0.0])
    found = np.zeros((17, 2))
    found[0] = nose
    for side, sign in enumerate((1, -1)):
        found[1 + side] = nose + sign * 0.25 * across + (0, -0.25 * unit)
        found[3 + side] = nose + sign * 0.55 * across + (0, -0.1 * unit)
        found[5 + side] = neck + sign * 1.05 * across
        found[11 + side] = hip + sign * 0.6 * across
        raise_arm = 1.2 + 1.1 * np.sin(beat / 2 + 1.7 * side) + 0.3 * np.sin(beat / 8)
        bend = raise_arm + 0.9 + 0.6 * np.sin(beat / 2 + side + 2)
        found[7 + side] = found[5 + side] + 1.6 * unit * direction(raise_arm, sign)
        found[9 + side] = found[7 + side] + 1.5 * unit * direction(bend, sign)
        foot = np.array([hip[0] + sign * unit * (0.9 + 0.3 * np.sin(beat / 4)), floor])
        foot[1] -= unit * max(0.0, 0.9 * np.sin(beat / 2 + np.pi * side))
        found[13 + side] = knee(found[11 + side], foot, 2.45 * unit, sign)
        found[15 + side] = foot
    return found


def direction(angle: float, sign: int) -> Points:
    """Unit vector `angle` away from straight down, to one side."""
    return np.array([sign * np.sin(angle), np.cos(angle)])


def knee(hip: Points, foot: Points, length: float, sign: int) -> Points:
    """The knee between a hip and a foot, both `length` away, bent outward."""
    middle, along = (hip + foot) / 2, foot - hip
    half = float(np.hypot(*along)) / 2
    out = np.sqrt(max(length**2 - half**2, 0.0))
    across = np.array([along[1], -along[0]]) / max(2 * half, 1e-6)
    return middle + sign * out * across


def dance(frames: int, height: float, floor: float, column: float, seed: float) -> Points:
    """Joints [T, 17, 2] of a dance that goes left and right, to and from the camera."""
    found = []
    for number in range(frames):
        time = number / 12 + seed
        near = 0.5 + 0.5 * np.sin(time / 2.3)
        unit = height * (0.85 + 0.15 * near) / 10
        place = column + 0.15 * height * np.sin(time / 1.7)
        found.append(joints(time, unit, floor - 0.12 * height * (1 - near), place))
    return np.stack(found)


def draw(points: Points) -> Image.Image:
    """A figure before a wall, on a floor, with its shadow."""
    side = SIZE * ENLARGED
    image = Image.new("RGB", (side, side), "#b9c7c2")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, side * 0.78, side, side), fill="#8a7458")
    for column in range(0, side, side // 8):
        pen.line((column, 0, column, side * 0.78), fill="#aebcb7", width=ENLARGED // 2)
    p = points * ENLARGED
    unit = float(np.hypot(*(p[11] - p[13]))) / 2.45
    ground = max(p[15, 1], p[16, 1]) + 0.4 * unit
    middle = (p[15, 0] + p[16, 0]) / 2
    pen.ellipse((middle - 2 * unit, ground - 0.3 * unit, middle + 2 * unit, ground + 0.3 * unit),
                fill="#6f5c45")  # fmt: skip
    for limbs, width, color in (
        (((12, 14), (14, 16)), 0.9, "#26407a"), (((11, 13), (13, 15)), 0.9, TROUSERS),
        (((6, 8), (8, 10)), 0.6, "#a8262f"),
    ):  # fmt: skip
        for start, end in limbs:
            limb(pen, p[start], p[end], width * unit, color)
    for foot in (15, 16):
        limb(pen, p[foot], p[foot] + (0.5 * unit, 0.2 * unit), 0.5 * unit, SHOES)
    body = [tuple(p[joint]) for joint in (5, 6, 12, 11)]
    pen.polygon(body, fill=SHIRT)
    for start, end in ((5, 6), (6, 12), (12, 11), (11, 5)):
        limb(pen, p[start], p[end], 0.7 * unit, SHIRT)
    limb(pen, (p[5] + p[6]) / 2, p[0], 0.5 * unit, SKIN)
    disc(pen, p[0] + (0, -0.25 * unit), 0.85 * unit, HAIR)
    disc(pen, p[0] + (0, 0.05 * unit), 0.7 * unit, SKIN)
    for eye in (1, 2):
        disc(pen, p[eye], 0.12 * unit, "#202020")
    for start, end in ((5, 7), (7, 9)):
        limb(pen, p[start], p[end], 0.6 * unit, "#d8434c")
    for hand in (9, 10):
        disc(pen, p[hand], 0.4 * unit, SKIN)
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def limb(pen: ImageDraw.ImageDraw, start: Points, end: Points, width: float, color: str) -> None:
    """A line with round ends."""
    pen.line((*start, *end), fill=color, width=round(width))
    for place in (start, end):
        disc(pen, place, width / 2, color)


def disc(pen: ImageDraw.ImageDraw, place: Points, radius: float, color: str) -> None:
    """A filled circle."""
    pen.ellipse((*(place - radius), *(place + radius)), fill=color)


def write_keypoints(path: Path, poses: Points, side: int) -> None:
    """Joints [T, 17, 2] in the format of COCO's annotations."""
    images = [{"id": number, "height": side, "width": side} for number in range(len(poses))]
    annotations = [
        {"id": n, "image_id": n, "category_id": 1,
         "keypoints": [round(float(v), 2) for x, y in pose for v in (x, y, 2)]}
        for n, pose in enumerate(poses)
    ]  # fmt: skip
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def main(folder: Path) -> None:
    """Write the frames and the joints of both figures."""
    frames = folder / "frames" / "dancer"
    frames.mkdir(parents=True, exist_ok=True)
    poses = dance(FRAMES, 0.72 * SIZE, 0.92 * SIZE, 0.5 * SIZE, 0.0)
    for number, pose in enumerate(poses):
        draw(pose).save(frames / f"{number:03d}.png")
    write_keypoints(folder / "dancer.json", poses, SIZE)
    other = dance(OTHERS, 2.4 * SIZE, 3.7 * SIZE, 1.6 * SIZE, 31.0)
    write_keypoints(folder / "other.json", other, 4 * SIZE)
    print(f"{folder}: {FRAMES} frames of {SIZE}x{SIZE}, dancer.json, other.json")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/dance"))
