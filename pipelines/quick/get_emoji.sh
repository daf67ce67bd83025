#!/bin/sh
# Fetch the two sets of emoji images that pipelines/quick/cyclegan_emoji.yaml translates between.
# Usage: pipelines/quick/get_emoji.sh [FOLDER]    (default data/emoji; about 150 MB; needs npm)
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
    "emoji-datasource-google@$version" "emoji-datasource-twitter@$version"

for vendor in google twitter; do
    images="$folder/node_modules/emoji-datasource-$vendor/img/$vendor/64"
    count=$(find "$images" -name '*.png' | wc -l)
    echo "$images: $count images"
done
cat <<'LICENSES'
Licenses of the images (the packages' own MIT license covers their code only):
  google:  Noto Emoji by Google, Apache License 2.0
  twitter: Twemoji by Twitter and contributors, CC-BY 4.0 (name them where you publish results)
LICENSES
