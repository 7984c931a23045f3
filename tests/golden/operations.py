"""Prints the numbers in tests/test_{norm,loss,conv,recurrent}_ops.c: operations and their gradients by PyTorch, in f64.

All inputs are the sequence of tests/op_sequence.h, scaled; images are channels last.
    python operations.py
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def seq(*shape):
    count = torch.Size(shape).numel()
    return (((37 * torch.arange(count) + 11) % 23) / 10 - 1.1).reshape(*shape)


def leaf(x):
    return x.clone().requires_grad_()


def show(name, x):
    print(name + ":", ", ".join("%.12g" % v for v in x.flatten().tolist()))


def first(x):  # channels first
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def last(x):
    return x.permute(0, *range(2, x.ndim), 1)


def norms():
    x, gain, bias = leaf(seq(2, 3)), leaf(seq(3) + 2), leaf(seq(3))
    y = F.layer_norm(x, (3,), gain, bias, 1e-3)
    y.backward(seq(2, 3))
    for name, v in ("layer", y), ("dx", x.grad), ("dgain", gain.grad):
        show(name, v)
    x = leaf(seq(2, 3))
    y = F.rms_norm(x, (3,), seq(3) + 2, 1e-3)
    y.backward(seq(2, 3))
    show("rms", y), show("dx", x.grad)
    x, gain, bias = leaf(seq(2, 2, 1, 4)), leaf(seq(4) + 2), leaf(seq(4))
    y = last(F.group_norm(first(x), 2, gain, bias, 1e-3))
    y.backward(seq(*y.shape))
    for name, v in ("group", y), ("dx", x.grad), ("dgain", gain.grad), ("dbias", bias.grad):
        show(name, v)
    x, gain = leaf(seq(3, 2)), leaf(torch.tensor([2.0, 0.5]))
    bias, mean, variance = torch.tensor([1.0, -1.0]), torch.tensor([0.5, -0.5]), torch.tensor([2.0, 3.0])
    y = F.batch_norm(x, mean, variance, gain, bias, True, 0.1, 1e-3)
    y.backward(seq(3, 2))
    for name, v in ("batch", y), ("mean", mean), ("variance", variance), ("dx", x.grad), ("dgain", gain.grad):
        show(name, v)
    show("batch in evaluation", F.batch_norm(x, mean, variance, gain, bias, False, 0.1, 1e-3))


def losses():
    x = leaf(seq(3, 4))
    y = F.cross_entropy(x, torch.tensor([2, 0, 3]), ignore_index=0, label_smoothing=0.1)
    y.backward()
    show("cross entropy", y), show("dx", x.grad)
    a, b = leaf(seq(2, 3)), leaf(0.2 - 0.7 * seq(2, 3))
    p, q = F.softmax(a, 1), F.softmax(b, 1)
    m = (p + q) / 2
    y = 0.5 * ((p * (p / m).log()).sum(1) + (q * (q / m).log()).sum(1)).mean()
    y.backward()
    show("js", y), show("da", a.grad), show("db", b.grad)
    a = leaf(seq(2, 3))
    teacher = F.log_softmax((0.2 - 0.7 * seq(2, 3)) / 2, 1)
    y = 4 * F.kl_div(F.log_softmax(a / 2, 1), teacher, log_target=True, reduction="batchmean")
    y.backward()
    show("distillation", y), show("da", a.grad)
    show("info nce", F.cross_entropy(seq(3, 2) @ (0.6 * seq(3, 2) + 0.3).T / 0.5, torch.arange(3)))
    target = torch.tensor([[1, 0, 0.5], [0, 1, 1]])
    show("bce", F.binary_cross_entropy_with_logits(seq(2, 3), target))
    log_q, log_p = F.log_softmax(seq(2, 3), 1), F.log_softmax(-0.5 * seq(2, 3), 1)
    show("kl", F.kl_div(log_q, log_p, log_target=True, reduction="batchmean"))
    show("huber", F.huber_loss(seq(2, 3), torch.zeros(2, 3), delta=0.6))
    show("hinge", F.relu(1 - seq(2, 3) * torch.tensor([[1.0, -1, 1], [1, -1, 1]])).mean())
    show("cosine", F.cosine_similarity(seq(2, 3), 0.4 - 0.5 * seq(2, 3), dim=1))


def convolutions():
    x, w, b = leaf(seq(1, 3, 4, 4)), leaf(seq(2, 3, 3, 2)), leaf(torch.tensor([0.5, -0.5]))
    y = last(F.conv2d(first(x), first(w), b, stride=2, padding=1, groups=2))
    y.backward(seq(*y.shape))
    for name, v in ("conv2d", y), ("dw", w.grad), ("db", b.grad), ("dx", x.grad):
        show(name, v)
    show("transposed", last(F.conv_transpose2d(first(seq(1, 2, 2, 2)), first(seq(2, 3, 3, 1)), stride=2, padding=1)))
    show("conv1d", last(F.conv1d(first(seq(1, 5, 2)), first(seq(2, 2, 2)), padding=1, dilation=2)))
    show("bilinear", last(F.interpolate(first(seq(1, 2, 3, 1)), scale_factor=2, mode="bilinear")))
    show("adaptive", last(F.adaptive_avg_pool2d(first(seq(1, 5, 4, 1)), (3, 3))))


def cells():
    for make, gates in (nn.GRUCell, 3), (nn.LSTMCell, 4):
        cell = make(3, 2)
        with torch.no_grad():
            cell.weight_ih.copy_(0.5 * seq(2 * gates, 3)), cell.weight_hh.copy_(0.4 * seq(2 * gates, 2))
            cell.bias_ih.copy_(0.1 * seq(2 * gates)), cell.bias_hh.copy_(0.2 * seq(2 * gates))
        x, h, c = leaf(seq(2, 3)), leaf(0.5 * seq(2, 2)), leaf(0.3 * seq(2, 2))
        g, gc = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[1.0, -1], [2, -2]])
        if gates == 3:
            y = cell(x, h)
            y.backward(g)
            show("gru", y), show("dw_hh", cell.weight_hh.grad), show("db_hh", cell.bias_hh.grad)
        else:
            y, c_out = cell(x, (h, c))
            torch.autograd.backward([y, c_out], [g, gc])
            show("lstm", y), show("c", c_out), show("dc", c.grad), show("db_ih", cell.bias_ih.grad)
        show("dx", x.grad), show("dh", h.grad)


if __name__ == "__main__":
    norms()
    losses()
    convolutions()
    cells()
