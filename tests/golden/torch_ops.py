"""Operations of the tape and their gradients by PyTorch in float64: torch_ops.safetensors.

    pip install torch safetensors numpy
    python torch_ops.py

A case NAME has the inputs NAME.x0, NAME.x1, …, the results NAME.y0, … and, for every input that is a leaf, the
gradient NAME.d0, … of the sum over the float results k of sum_i s(i + 5 k) y_k[i], s(i) = ((37 i + 11) mod 23)/10 - 1.1
(tests/op_sequence.h). Inputs are F32 (so that a run in f32 starts from the same numbers; they are widened before
anything is computed), I32 or U8; results and gradients F64, or I32. Images are channels last, as in linnet/ops.h.
Where PyTorch's convention is another one, the case says so. tests/golden_ops.def has the same cases in C.
"""
import math
import pathlib
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
FILE = {}
RANDOM = None  # the generator of the case being made


class Const:
    """A float input without a gradient."""

    def __init__(self, x):
        self.x = x


def case(name, fn, *inputs):
    """inputs: callables, drawn in order with a generator of the case's own, or tensors."""
    global RANDOM
    assert f"{name}.y0" not in FILE, name
    RANDOM = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    args, leaves = [], []
    for i, make in enumerate(inputs):
        const = isinstance(make, Const)
        x = make.x if const else make
        x = x() if callable(x) else x
        if x.is_floating_point():
            x = x.float()
            FILE[f"{name}.x{i}"] = x.numpy()
            x = x.double()
            if not const:
                leaves.append((i, x.requires_grad_()))
        else:
            FILE[f"{name}.x{i}"] = x.to(torch.uint8 if x.dtype in (torch.uint8, torch.bool) else torch.int32).numpy()
        args.append(x)
    ys = fn(*args)
    ys = ys if isinstance(ys, tuple) else (ys,)
    loss = torch.zeros(())
    for k, y in enumerate(ys):
        if y.is_floating_point():
            assert torch.isfinite(y).all(), name
            FILE[f"{name}.y{k}"] = y.detach().contiguous().numpy()
            loss = loss + (seq(y.numel(), 5 * k).reshape(y.shape) * y).sum()
        else:
            FILE[f"{name}.y{k}"] = y.int().contiguous().numpy()
    if loss.requires_grad:
        grads = torch.autograd.grad(loss, [x for _, x in leaves], materialize_grads=True, allow_unused=True)
        for (i, _), g in zip(leaves, grads):
            assert torch.isfinite(g).all(), name
            FILE[f"{name}.d{i}"] = g.contiguous().numpy()


def seq(count, start=0):
    return ((37 * (torch.arange(count) + start) + 11) % 23) / 10 - 1.1


def rand(*shape, lo=-1.0, hi=1.0):
    return lambda: lo + (hi - lo) * torch.rand(shape, generator=RANDOM)


def wide(*shape, size=3.0):
    return lambda: size * torch.randn(shape, generator=RANDOM)


def apart(*shape, step=0.07):
    """No two alike: for maxima, sorting and kinks at zero."""
    def make():
        n = math.prod(shape)
        return ((torch.randperm(n, generator=RANDOM) - n / 2 + 0.3) * step).reshape(shape)
    return make


def ints(*shape, below):
    return lambda: torch.randint(0, below, shape, generator=RANDOM)


def bits(*shape, p=0.6):
    return lambda: torch.rand(shape, generator=RANDOM) < p


def spd(*batch, n):
    def make():
        a = torch.randn(*batch, n, n + 2, generator=RANDOM)
        return a @ a.mT / n + 0.5 * torch.eye(n)
    return make


def regular(*batch, n):
    return lambda: 0.4 * torch.randn(*batch, n, n, generator=RANDOM) + 1.5 * torch.eye(n)


def first(x):  # channels first
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def elementwise():
    case("add", torch.add, rand(3, 7), rand(7))
    case("add_scalar", torch.add, rand(2, 3, 5), rand(1))
    case("sub", torch.sub, rand(2, 1, 5), rand(3, 1))
    case("mul", torch.mul, rand(4, 1, 3), rand(5, 1))
    case("div", torch.div, rand(3, 5), rand(3, 1, lo=0.4, hi=2))
    case("minimum", torch.minimum, apart(3, 5), rand(5))
    case("maximum", torch.maximum, apart(3, 5), rand(3, 1))
    case("where", lambda c, a, b: torch.where(c.bool(), a, b), bits(3, 5), rand(5), rand(3, 1))
    case("lerp", lambda a, b: torch.lerp(a, b, 0.3), rand(2, 7), rand(2, 7))
    one = {
        "neg": torch.neg, "square": torch.square, "abs": torch.abs, "exp": torch.exp, "expm1": torch.expm1,
        "sin": torch.sin, "cos": torch.cos, "erf": torch.erf, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
        "log_sigmoid": F.logsigmoid, "relu": F.relu, "silu": F.silu,
        "squared_relu": lambda x: F.relu(x).square(), "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
        "elu": lambda x: F.elu(x, 0.7), "elu1": lambda x: F.elu(x) + 1, "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "scale": lambda x: -1.7 * x, "shift": lambda x: x + 0.3,
        "clamp": lambda x: x.clamp(-0.9, 1.1),
        "signed_root": lambda x: x.sign() * x.abs().sqrt(),
        "hard_sigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1),  # F.hardsigmoid has 1/6 rounded to f32 in its gradient
        # beyond its threshold PyTorch's softplus is x itself, 2e-9 away; linnet's has none
        "softplus": lambda x: F.softplus(x, threshold=1000),
    }
    for name, fn in one.items():
        case(name, fn, wide(3, 7))
    for name, fn in {"sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "pow": lambda x: x ** 2.5, "log": lambda x: (x + 1e-3).log(),
                     "pow_negative": lambda x: x ** -1.5, "log1p": torch.log1p}.items():
        case(name, fn, rand(17, lo=0.05, hi=4))
    far = torch.tensor([-700.0, -90, -40, -25, -12, -6, -0.75, 0.5, 6, 12, 25, 40, 90, 700])
    for name in ("tanh", "sigmoid", "log_sigmoid", "softplus", "gelu", "gelu_tanh", "silu", "erf", "elu"):
        case(name + "_far", one[name], far)
    case("sign", lambda x, y: x.sign() * y, wide(3, 5), rand(5))
    case("silu_mul", lambda a, b: F.silu(a) * b, wide(3, 7), rand(3, 7))
    case("detach", lambda a, b: a.detach() * b, rand(3, 4), rand(3, 4))
    case("hard_concrete_evaluation",
         lambda a: (torch.sigmoid(a) * 1.2 - 0.1).clamp(0, 1), wide(3, 5))
    case("cast", lambda x: x.clone(), rand(3, 5))


def lsq(x, s, bits):
    """Esser et al. (2020), equations 1 to 5, without the gradient scale of section 2.2."""
    lo, hi = -2 ** (bits - 1), 2 ** (bits - 1) - 1
    s = s.reshape(-1, 1) if s.numel() > 1 else s
    u = (x / s).clamp(lo, hi)
    return s * (u + (u.round() - u).detach())


def straight_through():
    case("round_st", lambda x: x + (x.round() - x).detach(), wide(3, 5))
    case("sign_st", lambda x: x.clamp(-1, 1) + (x.sign() - x.clamp(-1, 1)).detach(), wide(3, 5, size=1.2))

    def top(x, k):
        keep = torch.zeros_like(x).scatter(-1, x.abs().topk(k).indices, 1)
        return x + (x * keep - x).detach()
    case("top_k_mask_st", lambda x: top(x, 3), apart(4, 7))
    case("quantize_st", lambda x, s: lsq(x, s, 3), wide(3, 7, size=1.0), rand(1, lo=0.3, hi=0.5))
    case("quantize_st_rows", lambda x, s: lsq(x, s, 4), wide(3, 7, size=1.0), rand(3, lo=0.1, hi=0.3))

    def nearest(x, c):
        i = torch.cdist(x, c).argmin(1)
        return x + (c.detach()[i] - x).detach(), i
    case("nearest_st", nearest, rand(5, 3), rand(4, 3))


def shapes():
    case("reshape", lambda x: x.reshape(5, 6), rand(2, 3, 5))
    case("permute", lambda x: x.permute(2, 0, 1), rand(2, 3, 5))
    case("transpose", lambda x: x.transpose(0, 2), rand(2, 3, 5))
    case("narrow", lambda x: x.narrow(1, 1, 3), rand(2, 5, 3))
    case("expand", lambda x: x.expand(2, 3, 5), rand(3, 1))
    case("concat", lambda a, b, c: torch.cat([a, b, c], 1), rand(2, 3, 2), rand(2, 1, 2), rand(2, 4, 2))
    case("stack", lambda a, b: torch.stack([a, b], 1), rand(3, 4), rand(3, 4))
    case("flip", lambda x: x.flip(1), rand(2, 5, 3))
    case("roll", lambda x: x.roll(-2, 1), rand(2, 5, 3))
    case("pad_zero", lambda x: F.pad(x, (1, 3)), rand(3, 4))
    case("pad_replicate", lambda x: F.pad(x, (2, 1), mode="replicate"), rand(3, 4))
    case("pad_reflect", lambda x: F.pad(x, (3, 2), mode="reflect"), rand(3, 4))
    case("token_shift", lambda x: F.pad(x, (0, 0, 1, -1)), rand(2, 5, 3))
    index = torch.tensor([4, 0, 4, 2, 2, 4, 1])
    case("index_select", lambda x, i: x.index_select(1, i), rand(2, 5, 3), index)
    case("index_add", lambda x, i, s: x.index_add(0, i, s), rand(5, 3), index, rand(7, 3))
    case("gather", lambda x, i: x.gather(1, i.long()), rand(3, 5), ints(3, 8, below=5))
    case("scatter_add", lambda x, i, s: x.scatter_add(1, i.long(), s), rand(3, 5), ints(3, 8, below=5), rand(3, 8))
    case("embedding", lambda w, i: F.embedding(i, w), rand(6, 4), torch.tensor([[5, 0, 5], [2, 2, 1]]))
    case("top_k", lambda x: tuple(x.topk(3)), apart(4, 7))
    case("sort", lambda x: tuple(x.sort(descending=True)), apart(3, 7))


def reductions():
    case("sum", lambda x: x.sum(1), rand(2, 5, 3))
    case("sum_all", lambda x: x.sum(), rand(2, 5, 3))
    case("mean", lambda x: x.mean(0, keepdim=True), rand(7, 3))
    case("variance", lambda x: x.var(1, unbiased=False), rand(2, 5, 3))
    case("variance_unbiased", lambda x: x.var(unbiased=True), rand(2, 5, 3))
    case("max", lambda x: x.amax(1), apart(2, 5, 3))
    case("min_all", lambda x: x.min(), apart(4, 5))
    case("argmax", lambda x: x.argmax(1), Const(apart(2, 5, 3)))
    case("logsumexp", lambda x: x.logsumexp(-1), wide(3, 7, size=9))
    case("norm", lambda x: x.norm(dim=1, keepdim=True), rand(2, 5, 3))
    case("cumsum", lambda x: x.cumsum(1), rand(2, 5, 3))

    def with_zeros():
        x = rand(3, 7, lo=0.5, hi=1.5)()
        x[1, 2] = x[2, 1] = x[2, 4] = 0
        return x
    case("cumprod", lambda x: x.cumprod(1), with_zeros)

    def scan(a, b, start):
        h, out = start, []
        for i in range(a.shape[1]):
            h = a[:, i] * h + b[:, i]
            out.append(h)
        return torch.stack(out, 1)
    case("scan", scan, rand(2, 6, 3), rand(2, 6, 3), rand(2, 3))
    case("scan_from_zero", lambda a, b: scan(a, b, torch.zeros(1, 5)), rand(1, 9, 5), rand(1, 9, 5))
    ids = torch.tensor([3, 0, 3, 3, 1, 0, 1])  # segment 2 is empty: zeros

    def into(x, i, reduce):
        y = torch.zeros(4, x.shape[1])
        return y.scatter_reduce(0, i.long()[:, None].expand_as(x), x, reduce, include_self=False)
    case("segment_sum", lambda x, i: into(x, i, "sum"), rand(7, 3), ids)
    case("segment_mean", lambda x, i: into(x, i, "mean"), rand(7, 3), ids)
    case("segment_max", lambda x, i: into(x, i, "amax"), apart(7, 3), ids)
    case("segment_softmax", lambda x, i: x.exp() / into(x.exp(), i, "sum")[i.long()], wide(7, 3), ids)


def monarch(x, left, right):
    k, j, i = right.shape
    l, o, r = left.shape
    y = torch.einsum("bki,kji->bkj", x.reshape(-1, k, i), right).reshape(-1, r, l).mT
    return torch.einsum("blr,lor->blo", y, left).mT.reshape(-1, o * l)


def hadamard(n):
    h = torch.ones(1, 1)
    while h.shape[0] < n:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    return h / math.sqrt(n)


def products():
    case("linear", F.linear, rand(2, 3, 5), rand(7, 5), rand(7))
    case("linear_row", F.linear, rand(1, 9), rand(5, 9))
    for name, fn in ("relu", F.relu), ("gelu", F.gelu), ("silu", F.silu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid):
        case("linear_" + name, lambda x, w, b: fn(F.linear(x, w, b)), wide(3, 5), rand(4, 5), rand(4))
    case("matmul", torch.matmul, rand(3, 5), rand(5, 7))
    case("matmul_ta", lambda a, b: a.mT @ b, rand(2, 5, 3), rand(2, 5, 4))
    case("matmul_tb", lambda a, b: a @ b.mT, rand(2, 1, 3, 5), rand(3, 4, 5))
    case("matmul_tt", lambda a, b: a.mT @ b.mT, rand(5, 3), rand(2, 4, 5))
    case("einsum", lambda a, b: torch.einsum("bthd,bshd->bhts", a, b), rand(2, 3, 2, 4), rand(2, 5, 2, 4))
    case("einsum_sum", lambda a, b: torch.einsum("abc,cd->da", a, b), rand(3, 2, 4), rand(4, 5))
    case("outer", torch.outer, rand(3), rand(5))
    case("kron_apply", lambda x, a, b: x @ torch.kron(a, b).mT, rand(3, 6), rand(4, 2), rand(2, 3))
    case("block_diagonal", lambda x, b: x @ torch.block_diag(*b).mT, rand(3, 6), rand(2, 4, 3))
    case("monarch", monarch, rand(3, 6), rand(4, 5, 2), rand(2, 4, 3))
    case("hadamard", lambda x: x @ hadamard(8), rand(3, 8))

    def spmm(offsets, columns, values, x):
        rows = torch.repeat_interleave(torch.arange(4), offsets.diff())
        return torch.zeros(4, x.shape[1]).index_add(0, rows, values[:, None] * x[columns])
    case("spmm", spmm, torch.tensor([0, 3, 3, 4, 7]), torch.tensor([0, 2, 4, 1, 0, 1, 4]), rand(7), rand(5, 3))


def matrices():
    sym = lambda a: (a + a.mT) / 2
    case("cholesky", lambda a: torch.linalg.cholesky(sym(a)), spd(2, n=5))
    tri = torch.linalg.solve_triangular
    case("solve_triangular", lambda l, b: tri(l.tril(), b, upper=False), regular(2, n=4), rand(2, 4, 3))
    case("solve_triangular_upper", lambda u, b: tri(u.triu(), b, upper=True), regular(n=4), rand(2, 4, 3))
    case("solve_triangular_transposed", lambda l, b: tri(l.tril().mT, b, upper=True), regular(n=5), rand(5, 1))
    case("solve_matrix", torch.linalg.solve, regular(2, n=4), rand(2, 4, 3))
    case("inverse", torch.linalg.inv, regular(2, n=4))
    case("logdet", lambda a: torch.linalg.slogdet(a).logabsdet, regular(3, n=5))

    def qr(a):  # PyTorch's R may have negative numbers on the diagonal
        q, r = torch.linalg.qr(a)
        s = r.diagonal(dim1=-2, dim2=-1).sign()
        return q * s[..., None, :], s[..., None] * r
    case("qr", qr, wide(2, 5, 3, size=1.0))

    def eigh(a):  # vectors squared: their signs are nobody's
        w, v = torch.linalg.eigh(sym(a))
        return w, v.square()
    case("eigh", eigh, wide(2, 4, 4, size=1.0))

    def svd(a):
        u, s, vt = torch.linalg.svd(a, full_matrices=False)
        return u.square(), s, vt.square(), u @ vt
    case("svd", svd, wide(2, 5, 3, size=1.0))
    case("svd_flat", svd, wide(3, 5, size=1.0))
    case("nuclear_norm", lambda a: torch.linalg.matrix_norm(a, "nuc"), wide(4, 6, size=1.0))
    case("spectral_norm", lambda a: torch.linalg.matrix_norm(a, 2), wide(2, 4, 3, size=1.0))

    def cayley(a):
        s, i = (a - a.mT) / 2, torch.eye(a.shape[-1])
        return (i - s) @ torch.linalg.inv(i + s)
    case("cayley", cayley, rand(2, 4, 4))

    def householder(x, v):
        for u in v:
            x = x - 2 * (x @ u)[:, None] * u / (u @ u)
        return x
    case("householder", householder, rand(3, 5), rand(2, 5))

    def givens(x, angle):
        a, b, c, s = x[..., 0::2], x[..., 1::2], angle.cos(), angle.sin()
        return torch.stack([c * a - s * b, s * a + c * b], -1).flatten(-2)
    case("givens", givens, rand(3, 6), wide(3))


def dct_matrix(n):
    k, i = torch.arange(n)[:, None], torch.arange(n)[None]
    m = torch.cos(math.pi * (i + 0.5) * k / n) * math.sqrt(2 / n)
    m[0] /= math.sqrt(2)
    return m


def spectral():
    real = torch.view_as_real
    for n in (7, 8, 12):
        case(f"rfft_{n}", lambda x: real(torch.fft.rfft(x)), rand(2, n))
        case(f"irfft_{n}", lambda x: torch.fft.irfft(torch.view_as_complex(x), n), rand(2, n // 2 + 1, 2))
    case("rfft2", lambda x: real(torch.fft.rfft2(x)), rand(2, 3, 6))
    case("irfft2", lambda x: torch.fft.irfft2(torch.view_as_complex(x), (4, 5)), rand(2, 4, 3, 2))
    case("dct_2", lambda x: x @ dct_matrix(7).T, rand(3, 7))
    case("dct_3", lambda x: x @ dct_matrix(8), rand(3, 8))

    def causal(x, k):
        t = x.shape[-1]
        n = t + k.shape[-1] - 1
        return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(k, n), n)[..., :t]
    case("fft_conv", causal, rand(2, 3, 9), rand(3, 4))


def convolutions():
    case("conv1d", lambda x, w, b: last(F.conv1d(first(x), first(w), b, stride=2, padding=2, dilation=2)),
         rand(2, 9, 3), rand(4, 3, 3), rand(4))
    case("conv1d_causal", lambda x, w, b: last(F.conv1d(F.pad(first(x), (3, 0)), w[:, None], b, groups=3)),
         rand(2, 7, 3), rand(3, 4), rand(3))
    case("conv2d", lambda x, w, b: last(F.conv2d(first(x), first(w), b, stride=2, padding=1)),
         rand(2, 5, 6, 3), rand(4, 3, 3, 3), rand(4))
    case("conv2d_groups", lambda x, w: last(F.conv2d(first(x), first(w), groups=2, padding=2)),
         rand(1, 4, 3, 4), rand(6, 2, 2, 2))
    case("conv2d_depthwise", lambda x, w, b: last(F.conv2d(first(x), first(w), b, groups=3, padding=1)),
         rand(2, 4, 5, 3), rand(3, 3, 3, 1), rand(3))
    case("conv2d_transposed", lambda x, w, b: last(F.conv_transpose2d(first(x), first(w), b, 2, 1)),
         rand(2, 3, 4, 3), rand(3, 3, 3, 2), rand(2))
    case("conv3d", lambda x, w, b: last(F.conv3d(first(x), first(w), b, stride=2, padding=1)),
         rand(2, 3, 4, 5, 2), rand(4, 3, 3, 3, 2), rand(4))
    case("conv3d_groups", lambda x, w: last(F.conv3d(first(x), first(w), groups=2)), rand(1, 3, 2, 4, 4),
         rand(4, 2, 2, 2, 2))
    case("max_pool2d", lambda x: last(F.max_pool2d(first(x), 3, 2)), apart(2, 7, 5, 2))
    case("avg_pool2d", lambda x: last(F.avg_pool2d(first(x), 2, 1)), rand(2, 4, 5, 2))
    case("adaptive_pool2d", lambda x: last(F.adaptive_avg_pool2d(first(x), (3, 2))), rand(2, 5, 7, 2))
    case("upsample2d", lambda x: last(F.interpolate(first(x), scale_factor=3)), rand(2, 2, 3, 2))
    case("upsample2d_bilinear",
         lambda x: last(F.interpolate(first(x), scale_factor=2, mode="bilinear", align_corners=False)), rand(2, 3, 4, 2))
    case("pixel_shuffle", lambda x: last(F.pixel_shuffle(first(x), 2)), rand(2, 2, 3, 8))

    def unfold(x):  # PyTorch's columns are (channel, row, column), ours (row, column, channel)
        c = x.shape[-1]
        y = F.unfold(first(x), 3, stride=2, padding=1)
        return y.reshape(x.shape[0], c, 9, -1).permute(0, 3, 2, 1).flatten(2)
    case("unfold2d", unfold, rand(2, 5, 4, 2))

    def fold(x):
        y = x.reshape(2, -1, 4, 3).permute(0, 3, 2, 1).flatten(1, 2)
        return last(F.fold(y, (4, 5), 2, stride=1, padding=1))
    case("fold2d", fold, rand(2, 30, 12))


def norms():
    case("layer_norm", lambda x, g, b: F.layer_norm(x, (7,), g, b, 1e-3), rand(2, 3, 7), rand(7), rand(7))
    case("layer_norm_plain", lambda x: F.layer_norm(x, (5,), eps=1e-5), wide(3, 5))
    case("rms_norm", lambda x, g: F.rms_norm(x, (7,), g, 1e-3), rand(3, 7), rand(7))
    case("group_norm", lambda x, g, b: last(F.group_norm(first(x), 3, g, b, 1e-3)), rand(2, 2, 3, 6), rand(6), rand(6))

    def batch(x, g, b, mean, var):
        mean, var = mean.clone(), var.clone()
        y = last(F.batch_norm(first(x), mean, var, g, b, True, 0.2, 1e-3))
        return y, mean, var
    case("batch_norm", batch, rand(3, 2, 4), rand(4), rand(4), Const(rand(4)), Const(rand(4, lo=0.5, hi=2)))
    case("batch_norm_evaluation", lambda x, g, b, m, v: last(F.batch_norm(first(x), m, v, g, b, False, 0.2, 1e-3)),
         rand(3, 2, 4), rand(4), rand(4), Const(rand(4)), Const(rand(4, lo=0.5, hi=2)))
    case("l2_normalize", lambda x: F.normalize(x, dim=-1, eps=1e-6), rand(3, 5))
    case("weight_norm", lambda v, g: torch._weight_norm(v, g[:, None], 0), rand(4, 5), rand(4))


def attend(q, k, v, causal=True, window=0, scale=None, alibi=False):
    """By the formula: q (B,T,H,d), k and v (B,S,G,d); the last query sits at the last key."""
    t, h, d = q.shape[1:]
    s = k.shape[1]
    k, v = (x.repeat_interleave(h // x.shape[2], 2) for x in (k, v))
    back = torch.arange(t)[:, None] + (s - t) - torch.arange(s)  # how far behind the query a key is
    scores = torch.einsum("bthd,bshd->bhts", q, k) * (scale or 1 / math.sqrt(d))
    if alibi:
        scores = scores - 2 ** (-8 * torch.arange(1, h + 1) / h)[:, None, None] * back.abs()
    hide = torch.zeros(t, s, dtype=torch.bool)
    if causal:
        hide |= back < 0
    if window:
        hide |= back >= window
    return torch.einsum("bhts,bshd->bthd", scores.masked_fill(hide, -math.inf).softmax(-1), v)


def attention():
    case("softmax", lambda x: x.softmax(-1), wide(3, 7, size=9))
    case("log_softmax", lambda x: x.log_softmax(-1), wide(3, 7, size=9))

    def mask():  # row 1 sees nothing: zeros, where PyTorch has NaN
        m = bits(4, 5)()
        m[0, 0], m[1] = True, False
        return m

    def masked(x, m):
        y = x.masked_fill(m == 0, -1e300).softmax(-1)
        return y * (m != 0)
    case("masked_softmax", masked, wide(2, 4, 5), mask)
    four = lambda *shape: (wide(*shape, size=1.0),)

    def heads(q, k, v, **how):
        sdp = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), enable_gqa=True, **how)
        return sdp.transpose(1, 2)
    case("attention", lambda q, k, v: heads(q, k, v, is_causal=True), *four(2, 5, 2, 3), *four(2, 5, 2, 3), *four(2, 5, 2, 3))
    case("attention_full", lambda q, k, v: heads(q, k, v, scale=0.4), *four(1, 3, 4, 5), *four(1, 7, 2, 5), *four(1, 7, 2, 5))
    case("attention_later", attend, *four(2, 3, 2, 4), *four(2, 6, 1, 4), *four(2, 6, 1, 4))
    case("attention_window", lambda q, k, v: attend(q, k, v, window=3), *four(1, 7, 2, 4), *four(1, 7, 2, 4), *four(1, 7, 2, 4))
    case("attention_alibi", lambda q, k, v: attend(q, k, v, alibi=True), *four(1, 6, 4, 2), *four(1, 6, 2, 2), *four(1, 6, 2, 2))

    def angles():
        return torch.arange(7)[:, None] * 100.0 ** -(torch.arange(3) / 3)

    def rotary(x, c, s):
        c, s = (torch.cat([a[2:6], a[2:6]], -1)[:, None] for a in (c, s))
        a, b = x.chunk(2, -1)
        return x * c + torch.cat([-b, a], -1) * s
    case("rotary", rotary, rand(2, 4, 2, 6), Const(angles().cos()), Const(angles().sin()))
    gate = lambda n: (rand(3, 4), rand(3, 2), *(rand(*s) for s in ((2 * n, 4), (2 * n, 2), (2 * n,), (2 * n,))))
    case("gru_cell", torch.gru_cell, *gate(3))
    case("gru_cell_plain", lambda x, h, wi, wh: torch.gru_cell(x, h, wi, wh), *gate(3)[:4])
    case("lstm_cell", lambda x, h, wi, wh, bi, bh, c: torch.lstm_cell(x, (h, c), wi, wh, bi, bh), *gate(4), rand(3, 2))


def losses():
    pair = wide(3, 5, size=1.0), wide(3, 5, size=1.0)
    ids = torch.tensor([3, -100, 0, 4])
    case("mse", F.mse_loss, *pair)
    case("l1", F.l1_loss, *pair)
    case("huber", lambda x, y: F.huber_loss(x, y, delta=0.6), *pair)
    case("cross_entropy", lambda x, t: F.cross_entropy(x, t.long()), wide(4, 7), ints(4, below=7))
    case("cross_entropy_ignore", lambda x, t: F.cross_entropy(x, t.long()), wide(4, 5), ids)
    case("cross_entropy_ignore_class", lambda x, t: F.cross_entropy(x, t.long(), ignore_index=2), wide(6, 3), ints(6, below=3))
    case("cross_entropy_smoothing", lambda x, t: F.cross_entropy(x, t.long(), label_smoothing=0.2), wide(4, 5), ids)

    def z_loss(x, t):
        keep = t != -100
        return F.cross_entropy(x, t.long()) + 0.01 * x.logsumexp(-1)[keep].square().mean()
    case("cross_entropy_z", z_loss, wide(4, 5), ids)
    case("cross_entropy_sequence", lambda x, t: F.cross_entropy(x.flatten(0, 1), t.flatten().long()),
         wide(2, 3, 4), ints(2, 3, below=4))
    case("linear_cross_entropy", lambda x, w, t: F.cross_entropy(x @ w.T, t.long(), label_smoothing=0.1),
         rand(4, 3), rand(5, 3), ids)
    labels = torch.tensor([[1, 1, 2], [3, 2, 3], [2, 2, 2], [1, 3, 0]])  # the third needs 5 steps of its 4
    steps, lengths = torch.tensor([7, 5, 4, 6]), torch.tensor([3, 2, 3, 0])

    def ctc(x, labels, steps, lengths, blank=0, **how):
        return F.ctc_loss(x.log_softmax(-1).transpose(0, 1), labels.long(), steps, lengths, blank=blank, **how)
    case("ctc", lambda x, l, t, n: ctc(x, l, t, n, reduction="sum", zero_infinity=True) / 4, wide(4, 7, 4), labels,
         steps, lengths)
    case("ctc_per_label", lambda x, l, t, n: ctc(x, l, t, n, zero_infinity=True), wide(4, 7, 4), labels, steps, lengths)
    case("ctc_last_blank", lambda x, l: ctc(x, l, torch.tensor([9, 9]), torch.tensor([4, 4]), 2, reduction="none").mean(),
         wide(2, 9, 3), torch.tensor([[1, 0, 0, 1], [1, 1, 1, 1]]))
    case("bce_with_logits", F.binary_cross_entropy_with_logits, wide(3, 5, size=6), Const(rand(3, 5, lo=0)))
    logs = lambda: wide(3, 5)().log_softmax(-1)
    case("kl_div", lambda q, p: F.kl_div(q, p, log_target=True, reduction="batchmean"), logs, logs)

    def js(a, b):
        p, q = a.softmax(-1), b.softmax(-1)
        m = (p + q) / 2
        return ((p * (p / m).log() + q * (q / m).log()).sum(-1) / 2).mean()
    case("js_div", js, *pair)
    case("hinge", lambda x, y: F.relu(1 - x * y).mean(), wide(3, 5), Const(lambda: bits(3, 5)() * 2.0 - 1))
    case("margin_ranking", lambda a, b: F.margin_ranking_loss(a, b, torch.ones_like(a), 0.3), *pair)
    case("bpr", lambda a, b: -F.logsigmoid(a - b).mean(), *pair)
    case("info_nce", lambda q, k: F.cross_entropy(q @ k.T / 0.5, torch.arange(4)), rand(4, 3), rand(4, 3))
    case("distillation", lambda s, t: 4 * F.kl_div((s / 2).log_softmax(-1), (t / 2).log_softmax(-1), log_target=True,
                                                   reduction="batchmean"), *pair)
    case("cosine", lambda a, b: F.cosine_similarity(a, b, dim=1, eps=1e-8), *pair)
    case("gaussian_kl", lambda m, v: 0.5 * (m.square() + v.exp() - 1 - v).sum(-1).mean(), *pair)

    def max_sim(q, d, m):
        s = torch.einsum("ntd,msd->nmts", q, d).masked_fill(m[None, :, None] == 0, -math.inf)
        return s.amax(-1).sum(-1)

    def seen():
        m = bits(3, 4)()
        m[:, 0] = True
        return m
    case("max_sim", max_sim, wide(2, 3, 5), wide(3, 4, 5), seen)


def main():
    for part in (elementwise, straight_through, shapes, reductions, products, matrices, spectral, convolutions, norms,
                 attention, losses):
        part()
    path = pathlib.Path(__file__).with_suffix(".safetensors")
    save_file({k: np.asarray(v, order="C") for k, v in FILE.items()}, path)
    path.chmod(0o644)
    print(len({k.split(".")[0] for k in FILE}), "cases,", path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
