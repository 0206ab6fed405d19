#!/usr/bin/env bash
# Draw what lies here, after a change: needs graphviz's `dot`, npm and Chromium (CHROMIUM=/path/to/it).
set -euo pipefail
cd "$(dirname "$0")"
settings=$(mktemp --suffix=.json)
trap 'rm -f "$settings"' EXIT
printf '{"executablePath": "%s", "args": ["--no-sandbox"]}' "${CHROMIUM:-$(command -v chromium)}" > "$settings"
for source in *.dot; do dot -Tsvg "$source" > "${source%.dot}.svg"; done
for source in *.mmd; do
    PUPPETEER_SKIP_DOWNLOAD=1 npx --yes @mermaid-js/mermaid-cli --quiet --puppeteerConfigFile "$settings" \
        --input "$source" --output "${source%.mmd}.svg" --svgId "${source%.mmd}"
done
