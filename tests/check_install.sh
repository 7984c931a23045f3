#!/usr/bin/env bash
# Installs a build into a scratch prefix and builds and runs the examples against it with pkg-config, as a user would.
# Usage: check_install.sh BUILD_DIR
set -euo pipefail
build="$1"
source="$(cd "$(dirname "$0")/.." && pwd)"
prefix="$(mktemp -d)"
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >/dev/null

for file in bin/linnet include/linnet/linnet.h share/man/man1/linnet.1 share/bash-completion/completions/linnet \
    share/zsh/site-functions/_linnet share/fish/vendor_completions.d/linnet.fish; do
    [ -s "$prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done
bash -n "$prefix/share/bash-completion/completions/linnet"
if command -v zsh >/dev/null; then zsh -n "$prefix/share/zsh/site-functions/_linnet"; fi
if command -v man >/dev/null; then man --warnings -l "$prefix/share/man/man1/linnet.1" >/dev/null; fi

pc="$(dirname "$(find "$prefix" -name linnet.pc)")"
export PKG_CONFIG_PATH="$pc${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
lib="$(pkg-config --variable=libdir linnet)"
for example in "$source"/examples/[0-9]*.c; do
    # shellcheck disable=SC2046  # flags are words
    ${CC:-cc} -std=c17 -Wall -Wextra -Werror ${LINNET_EXAMPLE_FLAGS:-} "$example" -o "$prefix/example" \
        $(pkg-config --cflags --libs linnet) -Wl,-rpath,"$lib"
    name="$(basename "$example" .c)"
    case "$name" in
    01_*)
        "$prefix/example" >"$prefix/out"
        sed -n '/^ \* Prints:/,/^ \*\//p' "$example" | sed -n 's/^ \*   \([^ ].*\)$/\1/p' | diff - "$prefix/out"
        ;;
    *)
        if "$prefix/example" >/dev/null 2>&1; then echo "$name: usage error expected"; exit 1; fi
        ;;
    esac
    echo "$name: ok"
done
"$prefix/bin/linnet" --version
