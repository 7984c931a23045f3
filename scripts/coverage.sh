#!/usr/bin/env bash
# Line coverage of each room, of the command and of the recipes after a coverage run; with -v also per file, and which lines were not reached.
# Usage: scripts/coverage.sh BUILD_DIR [-v]
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
        if path.startswith(("src/", "tools/", "reproduce/")):
            for l in f["lines"]:
                n = l["line_number"]
                seen[path][n] = max(seen[path].get(n, 0), l["count"])
rooms = collections.defaultdict(lambda: [0, 0])
for path, lines in seen.items():
    room = path.split("/")[path.startswith("src/") and path.count("/") > 1]
    rooms[room][0] += sum(1 for c in lines.values() if c)
    rooms[room][1] += len(lines)
for room, (hit, total) in sorted(rooms.items()):
    print(f"{room:12s} {hit:6d} / {total:6d}  {100 * hit / max(total, 1):5.1f} %")
if sys.argv[1:] == ["-v"]:
    for path, lines in sorted(seen.items(), key=lambda p: -sum(1 for c in p[1].values() if not c)):
        missed = sorted(n for n, c in lines.items() if not c)
        if missed:
            print(f"{path}: {100 - 100 * len(missed) / len(lines):.1f} %, not", *missed)
' "${@:2}"
