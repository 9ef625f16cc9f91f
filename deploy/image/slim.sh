#!/bin/sh
# Takes out of a folder of packages what serving never opens: slim.sh SITE_PACKAGES
# Only for a folder of the image's own: files that are shared with a cache would change there too.
set -eu
cd "$1"

# Arrow's RPC, and what only compilers and tests read.
rm -rf pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/_flight.* pyarrow/include pyarrow/tests
rm -rf onnxruntime/transformers onnxruntime/tools onnxruntime/quantization onnxruntime/datasets
find numpy numba -type d -name tests -prune -exec rm -rf {} + 2>/dev/null || true

# Symbols for debuggers. Not of libraries that auditwheel has patched (*.libs, numpy, pyarrow): strip breaks those.
for package in llvmlite zstandard uvloop hnswlib.*; do
    [ -e "$package" ] || continue
    find "$package" -name '*.so' -exec strip --strip-unneeded {} +
done

# Wheels hold no links, so each library is there under each of its names.
for name in pyarrow/libarrow_python*.so pyarrow/libarrow_python*.so.*; do
    for other in "$name".*; do
        if [ -f "$other" ] && [ ! -L "$name" ] && cmp -s "$name" "$other"; then
            ln -sf "$(basename "$other")" "$name"
        fi
    done
done
