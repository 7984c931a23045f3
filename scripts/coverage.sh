#!/usr/bin/env bash
# Line coverage per room after a coverage run. Usage: scripts/coverage.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
find "$1" -name '*.gcda' | while read -r data; do
    gcov --json-format --stdout "$data" 2>/dev/null
done | python3 -c '
import collections, json, os, sys
seen = collections.defaultdict(dict)
for line in sys.stdin:
    try:
        report = json.loads(line)
    except ValueError:
        continue
    for f in report["files"]:
        path = os.path.relpath(f["file"])
        if path.startswith("src/"):
            for l in f["lines"]:
                n = l["line_number"]
                seen[path][n] = max(seen[path].get(n, 0), l["count"])
rooms = collections.defaultdict(lambda: [0, 0])
for path, lines in seen.items():
    room = path.split("/")[1]
    rooms[room][0] += sum(1 for c in lines.values() if c)
    rooms[room][1] += len(lines)
for room, (hit, total) in sorted(rooms.items()):
    print(f"{room:12s} {hit:6d} / {total:6d}  {100 * hit / max(total, 1):5.1f} %")
'
