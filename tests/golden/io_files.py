"""Make small tensor files with the packages that define the formats.

    pip install safetensors gguf numpy torch
    python io_files.py OUT_DIR

Element k of every array is (k * 7 + 3) % 100, which every element type can
hold; booleans are k % 2. Shapes are (3, 4) unless said otherwise.

    all.safetensors   one tensor per element type, called as linnet calls it;
                      `scalar` = 2.5 and `empty` of shape (0, 5)
    all.gguf          a key of every value type, arrays of several, tensors
                      F32 F16 BF16 F64 I8 I16 I32 I64 (3, 4), 1- to 4-d F32,
                      and q8_0 q4_0 q4_1 of 2 rows of 64 numbers k - 64
    c_*.npy, f_*.npy  C and Fortran order; v2.npy, v3.npy other versions
    plain.npz, packed.npz, wide.npz   savez, savez_compressed, zip64 entries
    big.npy           big-endian, to be refused
"""

import pathlib
import struct
import sys
import zipfile

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

out = pathlib.Path(sys.argv[1])
VALUES = (np.arange(12) * 7 + 3) % 100
NUMPY = {
    'f32': '<f4', 'f64': '<f8', 'f16': '<f2', 'i8': '|i1', 'i16': '<i2',
    'i32': '<i4', 'i64': '<i8', 'u8': '|u1', 'u16': '<u2', 'u32': '<u4',
    'u64': '<u8', 'bool': '|b1',
}
TORCH = {
    'f32': torch.float32, 'f64': torch.float64, 'f16': torch.float16,
    'bf16': torch.bfloat16, 'i8': torch.int8, 'i16': torch.int16,
    'i32': torch.int32, 'i64': torch.int64, 'u8': torch.uint8,
    'u16': torch.uint16, 'u32': torch.uint32, 'u64': torch.uint64,
    'bool': torch.bool,
}


def values(name):
    return np.arange(12) % 2 if name == 'bool' else VALUES


def array(name):
    return values(name).astype(NUMPY[name]).reshape(3, 4)


def make_safetensors():
    tensors = {n: torch.tensor(values(n)).to(t).reshape(3, 4)
               for n, t in TORCH.items()}
    tensors['scalar'] = torch.tensor(2.5)
    tensors['empty'] = torch.zeros(0, 5)
    save_file(tensors, out / 'all.safetensors',
              metadata={'made by': 'safetensors'})


def make_gguf():
    w = gguf.GGUFWriter(out / 'all.gguf', 'test')
    w.add_uint8('k.u8', 200)
    w.add_int8('k.i8', -100)
    w.add_uint16('k.u16', 60000)
    w.add_int16('k.i16', -30000)
    w.add_uint32('k.u32', 4000000000)
    w.add_int32('k.i32', -2000000000)
    w.add_uint64('k.u64', 2**63 + 5)
    w.add_int64('k.i64', -2**62)
    w.add_float32('k.f32', 0.5)
    w.add_float64('k.f64', 0.1)
    w.add_bool('k.bool', True)
    w.add_string('k.string', 'grüße\nline')
    w.add_array('a.i32', [-1, 0, 7])
    w.add_array('a.f32', [0.5, -1.5])
    w.add_array('a.bool', [True, False, True])
    w.add_array('a.string', [f'word {i}' * (i % 3) for i in range(100)])
    for name in 'f32 f16 f64 i8 i16 i32 i64'.split():
        w.add_tensor(name, array(name))
    bf16 = torch.tensor(VALUES).to(torch.bfloat16).reshape(3, 4)
    w.add_tensor('bf16', bf16.view(torch.uint8).numpy(),
                 raw_dtype=gguf.GGMLQuantizationType.BF16)
    for n, shape in enumerate([(12,), (3, 4), (2, 3, 2), (2, 1, 3, 2)]):
        w.add_tensor(f'd{n + 1}', VALUES.astype('<f4').reshape(shape))
    weights = np.arange(128, dtype=np.float32).reshape(2, 64) - 64
    for t in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0,
              gguf.GGMLQuantizationType.Q4_1):
        blocks = gguf.quants.quantize(weights, t)
        w.add_tensor(t.name.lower(), blocks, raw_dtype=t)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_npy():
    for name in NUMPY:
        np.save(out / f'c_{name}.npy', array(name))
    for name in ('f32', 'i64'):
        np.save(out / f'f_{name}.npy', np.asfortranarray(array(name)))
    cube = np.arange(24, dtype='<i4').reshape(2, 3, 4)
    np.save(out / 'f_cube.npy', np.asfortranarray(cube))
    np.save(out / 'c_scalar.npy', np.float64(2.5))
    np.save(out / 'c_empty.npy', np.zeros((0, 5), '<f4'))
    np.save(out / 'big.npy', array('f32').astype('>f4'))
    for version in (2, 3):
        with open(out / f'v{version}.npy', 'wb') as f:
            np.lib.format.write_array(f, array('f32'), (version, 0))


def make_npz():
    arrays = {'x': array('f32'), 'dir/y': np.asfortranarray(array('i64')),
              'empty': np.zeros((0, 5), '<f4'),
              'long': (np.arange(20000) % 251).astype('|u1')}
    np.savez(out / 'plain.npz', x=arrays['x'])
    np.savez_compressed(out / 'packed.npz', **arrays)
    # One entry whose sizes stand only in the zip64 field.
    data = (out / 'c_f32.npy').read_bytes()
    crc = zipfile.crc32(data)
    name, wide, size = b'x.npy', 0xffffffff, len(data)
    extra = struct.pack('<HHQQ', 1, 16, size, size)
    local = struct.pack('<4s5H3I2H', b'PK\3\4', 45, 0, 0, 0, 33, crc, wide,
                        wide, len(name), len(extra)) + name + extra
    extra = struct.pack('<HHQQQ', 1, 24, size, size, 0)
    entry = struct.pack('<4s6H3I5H2I', b'PK\1\2', 45, 45, 0, 0, 0, 33, crc,
                        wide, wide, len(name), len(extra), 0, 0, 0, 0,
                        wide) + name + extra
    start = len(local) + size
    end64 = struct.pack('<4sQ2H2I4Q', b'PK\6\6', 44, 45, 45, 0, 0, 1, 1,
                        len(entry), start)
    locator = struct.pack('<4sIQI', b'PK\6\7', 0, start + len(entry), 1)
    end = struct.pack('<4s4H2IH', b'PK\5\6', 0, 0, 0xffff, 0xffff, wide,
                      wide, 0)
    path = out / 'wide.npz'
    path.write_bytes(local + data + entry + end64 + locator + end)
    assert (np.load(path)['x'] == array('f32')).all()


make_safetensors()
make_gguf()
make_npy()
make_npz()
