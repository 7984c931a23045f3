#!/usr/bin/env python3
"""check_includes.py [ROOT] - lower floors never include higher ones.

The floors are the ln_room(NAME DEPENDS ...) lines of CMakeLists.txt, closed transitively: a room may include its own
headers, those of rooms it depends on, and the public headers of those rooms. A task room (compress, ...) is nobody's
dependency, so another task room's private header is out of reach too. Public headers include public headers and the C
library only. tools may include anything; what is not public is listed with -v, because include/ is preferred there.
--self-test checks that each rule catches a violation.
"""
import os
import re
import sys
import tempfile

# Which room implements a public header. A new header must be entered here.
PUBLIC = {
    "base.h": "core", "params.h": "core", "tensor.h": "core", "result.h": "core", "system.h": "core", "estimator.h": "core",
    "comm.h": "core", "factor.h": "factor",
    "io.h": "io", "tokenizer.h": "text", "linop.h": "linop", "tape.h": "grad", "ops.h": "grad", "train.h": "grad",
    "model.h": "model", "generate.h": "model", "eval.h": "model", "compress.h": "compress", "gpt.h": "train", "tune.h": "adapt",
    "regress.h": "solve",
    "solve.h": "solve",
    "connectome.h": "factor",
    "forecast.h": "forecast",
    "linnet.h": "*",
}
C_LIBRARY = {"stdbool.h", "stddef.h", "stdint.h", "stdio.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.M)
ROOM = re.compile(r"^\s*ln_room\((\w+)\s+DEPENDS([^)]*)\)", re.M)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def floors(root):
    """Room -> every room it may use, itself included."""
    direct = {name: deps.split() for name, deps in ROOM.findall(read(os.path.join(root, "CMakeLists.txt")))}
    closed = {}

    def close(room, path=()):
        if room in path:
            raise SystemExit("CMakeLists.txt: rooms depend on each other in a circle: " + " -> ".join(path + (room,)))
        if room not in closed:
            uses = {room}
            for dep in direct.get(room, []):
                uses |= close(dep, path + (room,))
            closed[room] = uses
        return closed[room]

    for room in direct:
        close(room)
    return closed


def sources(folder):
    for where, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.join(where, name)


def check_file(root, path, room, allowed, errors):
    label = os.path.relpath(path, root)
    for quoted, angled in INCLUDE.findall(read(path)):
        if angled:
            if not angled.startswith("linnet/"):
                continue
            header = angled[len("linnet/"):]
            owner = PUBLIC.get(header)
            if owner is None:
                errors.append(f"{label}: <{angled}> is not entered in tests/check_includes.py")
            elif owner == "*":
                errors.append(f"{label}: includes the umbrella <linnet/linnet.h>; name the headers that are needed")
            elif owner not in allowed:
                errors.append(f"{label}: room {room} may not use <{angled}>, which belongs to room {owner}")
            continue
        beside = os.path.join(os.path.dirname(path), quoted)
        target = beside if os.path.exists(beside) else os.path.join(root, "src", quoted)
        if not os.path.exists(target):
            errors.append(f"{label}: \"{quoted}\" is neither beside it nor below src")
            continue
        owner = os.path.relpath(os.path.realpath(target), os.path.realpath(os.path.join(root, "src"))).split(os.sep)[0]
        if owner not in allowed:
            errors.append(f"{label}: room {room} may not include \"{quoted}\" of room {owner}")


def check_public(root, errors):
    folder = os.path.join(root, "include", "linnet")
    for name in sorted(os.listdir(folder)):
        if name not in PUBLIC:
            errors.append(f"include/linnet/{name}: not entered in tests/check_includes.py")
        for quoted, angled in INCLUDE.findall(read(os.path.join(folder, name))):
            if quoted or not (angled.startswith("linnet/") or angled in C_LIBRARY):
                errors.append(f"include/linnet/{name}: public headers include only <linnet/...> and the C library, "
                              f"not {quoted or angled}")


def check(root, verbose=False):
    errors, notes = [], []
    allowed = floors(root)
    check_public(root, errors)
    src = os.path.join(root, "src")
    for room in sorted(os.listdir(src)):
        folder = os.path.join(src, room)
        if not os.path.isdir(folder) or not any(sources(folder)):
            continue
        if room not in allowed:
            errors.append(f"src/{room}: no ln_room({room} DEPENDS ...) in CMakeLists.txt")
            continue
        for path in sources(folder):
            check_file(root, path, room, allowed[room], errors)
    for path in sources(os.path.join(root, "tools")):
        for quoted, _ in INCLUDE.findall(read(path)):
            if "/" in quoted:
                notes.append(f"{os.path.relpath(path, root)}: uses \"{quoted}\", which is not public")
    if verbose:
        print("\n".join(notes))
    return errors


def self_test():
    """A small tree with one violation of each kind; every one must be found, and nothing else."""
    files = {
        "CMakeLists.txt": "ln_room(core DEPENDS)\nln_room(io DEPENDS core)\nln_room(model DEPENDS io)\n"
                          "ln_room(compress DEPENDS model)\nln_room(cluster DEPENDS model)\n",
        "include/linnet/base.h": "#include <stdint.h>\n",
        "include/linnet/io.h": '#include <linnet/base.h>\n#include "core/core.h"\n',
        "include/linnet/extra.h": "",
        "src/core/core.h": "#include <linnet/base.h>\n#include <stdlib.h>\n",
        "src/core/up.c": '#include "core/core.h"\n#include "io/io.h"\n#include <linnet/io.h>\n',
        "src/io/io.h": '#include "core/core.h"\n',
        "src/io/local.c": '#include "io.h"\n#include "gone.h"\n# include <linnet/linnet.h>\n',
        "src/model/a.c": '#include "io/io.h"\n#include <linnet/io.h>\n',
        "src/compress/b.h": "",
        "src/cluster/c.c": '#include "compress/b.h"\n',
        "src/stray/d.c": "",
        "tools/main.c": '#include "core/core.h"\n',
    }
    want = ["include/linnet/extra.h", "include/linnet/io.h", "src/core/up.c", "src/core/up.c", "src/io/local.c",
            "src/io/local.c", "src/cluster/c.c", "src/stray"]
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        got = [error.split(":")[0] for error in check(root)]
    if sorted(got) != sorted(want):
        raise SystemExit(f"self-test: expected violations in {sorted(want)}, found {sorted(got)}")


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    if "--self-test" in sys.argv:
        self_test()
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    errors = check(root, "-v" in sys.argv)
    print("\n".join(errors) if errors else "includes go downwards only")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
