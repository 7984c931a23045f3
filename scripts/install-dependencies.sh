#!/usr/bin/env bash
# Installs the Debian packages that linnet builds and tests with, and nothing when all are there.
# Usage: scripts/install-dependencies.sh [build|check|lint|fuzz|tsan|mpi]   (default: check)
set -euo pipefail

build="gcc cmake ninja-build pkg-config libopenblas-openmp-dev liblapacke-dev libjansson-dev libpcre2-dev
       libutf8proc-dev libxxhash-dev zlib1g-dev libpng-dev"
demo="python3 python3-pip"
check="libcmocka-dev g++ bash zsh man-db libsimde-dev"
lint="clang clang-format clang-tidy cppcheck libomp-14-dev"
mpi="libopenmpi-dev openmpi-bin"
fuzz="clang libclang-rt-14-dev libomp-14-dev"

case "${1:-check}" in
build) want="$build $demo" ;;
check) want="$build $demo $check" ;;
lint)  want="$build $check $lint" ;;
mpi)   want="$build $demo $check $mpi" ;;
fuzz|tsan) want="$build $demo $check $fuzz" ;;
*) echo "usage: $0 [build|check|lint|fuzz|tsan|mpi]" >&2; exit 2 ;;
esac

missing=""
for package in $want; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "linnet: these packages are missing, and this is not a Debian system:$missing" >&2
    exit 1
fi
echo "Installing:$missing"
sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo"
$sudo apt-get update -qq
# shellcheck disable=SC2086  # word splitting is wanted
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
