#!/bin/sh
# Fetch the three sets of emoji that the quick recipes *_emoji.yaml and *_openmoji.yaml learn from.
# Usage: pipelines/quick/get_emoji.sh [FOLDER]    (default data/emoji; about 220 MB; needs npm)
# OpenMoji's drawings are SVG files: render_openmoji.py, beside this script, makes images of them.
set -eu

folder=${1:-data/emoji}
version=16.0.0

command -v npm >/dev/null || {
    echo "npm is missing. Install Node.js (https://nodejs.org or your package manager)." >&2
    exit 2
}
mkdir -p "$folder"
# --ignore-scripts: the packages are images; nothing of theirs is run.
npm install --ignore-scripts --no-audit --no-fund --no-save --prefix "$folder" \
    "emoji-datasource-google@$version" "emoji-datasource-twitter@$version" "openmoji@17.0.0"

for vendor in google twitter; do
    images="$folder/node_modules/emoji-datasource-$vendor/img/$vendor/64"
    count=$(find "$images" -name '*.png' | wc -l)
    echo "$images: $count images"
done
for style in black color; do
    images="$folder/node_modules/openmoji/$style/svg"
    count=$(find "$images" -name '*.svg' | wc -l)
    echo "$images: $count drawings"
done
cat <<'LICENSES'
Licenses of the images (the MIT license of the first two packages covers their code only):
  google:  Noto Emoji by Google, Apache License 2.0
  twitter: Twemoji by Twitter and contributors, CC-BY 4.0 (name them where you publish results)
  openmoji: OpenMoji, CC-BY-SA 4.0 (name them, and publish what you make of it under this license)
LICENSES
