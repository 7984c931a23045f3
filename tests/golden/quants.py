"""Make the goldens of the block formats with the `gguf` package.

    pip install gguf safetensors numpy
    python quants.py OUT_FILE.safetensors

For every type T of TYPES the file holds

    T.raw     U8 [2, bytes per row]  the blocks of 2 rows of 512 weights
    T.values  F32 [2, 512]           the blocks read by gguf.quants.dequantize

and once

    weights   F32 [2, 512]           the weights

For the types that the package can write, T.raw is quantize(weights). For the
K-quants it cannot, so T.raw is random bytes with small finite f16 scales,
which also covers bit patterns that no quantiser writes. The metadata tell
which: `quantized` and `random` list the types.

The weights are mostly normal; the second row has a block of zeros, one of
equal values, one of few levels that fall on ties, one of tiny and one of
large values.
"""

import argparse

import gguf
import numpy as np
from gguf import GGMLQuantizationType, quants
from safetensors.numpy import save_file

SHAPE = (2, 512)

# Byte offset of the f16 scales in a block.
SCALES = {
    'F16': (), 'BF16': (), 'Q8_0': (), 'Q4_0': (), 'Q4_1': (), 'Q5_0': (),
    'Q5_1': (),
    'Q2_K': (80, 82), 'Q3_K': (108,), 'Q4_K': (0, 2), 'Q5_K': (0, 2),
    'Q6_K': (208,),
}


def weights():
    rng = np.random.default_rng(20240601)
    values = rng.standard_normal(SHAPE).astype(np.float32) * 0.05
    row = values[1]
    row[0:32] = 0
    row[32:64] = -0.125
    row[64:96] = rng.integers(-16, 17, 32) / 16
    row[96:128] *= 1e-5
    row[128:160] *= 1e4
    return values


def random_blocks(name, rng):
    """Random bytes, but finite scales of either sign."""
    kind = GGMLQuantizationType[name]
    weights_per_block, size = gguf.GGML_QUANT_SIZES[kind]
    count = SHAPE[1] // weights_per_block
    blocks = rng.integers(0, 256, (SHAPE[0], count, size), dtype=np.uint8)
    for offset in SCALES[name]:
        scale = rng.standard_normal((SHAPE[0], count, 1)) * 0.01
        blocks[..., offset:offset + 2] = scale.astype('<f2').view(np.uint8)
    return blocks.reshape(SHAPE[0], -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out_file')
    args = parser.parse_args()
    rng = np.random.default_rng(7)
    tensors = {'weights': weights()}
    made = {'quantized': [], 'random': []}
    for name, scales in SCALES.items():
        kind = GGMLQuantizationType[name]
        if scales:
            raw = random_blocks(name, rng)
        else:
            raw = quants.quantize(tensors['weights'], kind)
        raw = np.ascontiguousarray(raw).view(np.uint8)
        made['random' if scales else 'quantized'].append(name)
        tensors[name + '.raw'] = raw
        values = quants.dequantize(raw, kind).astype(np.float32)
        assert values.shape == SHAPE and np.isfinite(values).all()
        tensors[name + '.values'] = values
    save_file(tensors, args.out_file,
              {key: ' '.join(value) for key, value in made.items()})


if __name__ == '__main__':
    main()
