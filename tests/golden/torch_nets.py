"""Four small networks trained with PyTorch in float64, by SGD and by AdamW: torch_nets.safetensors.

    pip install torch transformers safetensors numpy
    python torch_nets.py

For each network NET of mlp, cnn, gru: its data NET.x, NET.targets, the weights NET.w.NAME to start from (F32, so that
a run in f32 starts from the same numbers), and for OPT of sgd, adamw the losses NET.OPT.loss, each before its
step, and the weights NET.OPT.w.NAME after the last. cnn also has the running statistics at the end.
gpt is the tiny model models/llama with the ids and the loss of tiny_gradients.py. Its weights are many, so that
gpt.OPT.w.NAME holds four sums of each: sum_i s(i + 5 k) w_i, k = 0 … 3, with the s of torch_ops.py.

The model of `transformers` computes norms and angles in float32 whatever its type; the one below does not, and is
compared with it first.
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors.numpy import save_file
from safetensors.torch import load_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
FILE = {}
HERE = pathlib.Path(__file__).parent
OPTIMIZERS = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adamw": lambda p, lr: torch.optim.AdamW(p, lr=0.01, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.1),
}


def seq(count, start=0):
    return ((37 * (torch.arange(count) + start) + 11) % 23) / 10 - 1.1


def put(name, x):
    x = x.detach().int() if not x.is_floating_point() else x.detach()
    FILE[name] = np.array(x.numpy(), order="C")


def train(net, weights, loss_of, lr=0.1, steps=12, sums=False):
    for kind, make in OPTIMIZERS.items():
        w = {k: v.clone().requires_grad_() for k, v in weights.items()}
        opt = make(list(w.values()), lr)
        state, losses = {}, []
        for _ in range(steps):
            opt.zero_grad()
            loss = loss_of(w, state)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
            opt.step()
            losses.append(loss.detach())
        put(f"{net}.{kind}.loss", torch.stack(losses))
        print(net, kind, "%.6f -> %.6f" % (losses[0], losses[-1]))
        for k, v in w.items():
            v = v.detach()
            if sums:
                v = torch.stack([(seq(v.numel(), 5 * i) * v.flatten()).sum() for i in range(4)])
            put(f"{net}.{kind}.w.{k}", v)
        for k, v in state.items():
            put(f"{net}.{kind}.{k}", v)


def fresh(net, shapes, generator):
    w = {}
    for name, shape in shapes.items():
        x = torch.randn(shape, generator=generator) * (0.5 if len(shape) > 1 else 0.1)
        w[name] = (x + (1 if name.endswith("gain") else 0)).float()
        put(f"{net}.w.{name}", w[name])
    return {k: v.double() for k, v in w.items()}


def data(net, x, targets):
    x = x.float() if x.is_floating_point() else x
    put(f"{net}.x", x), put(f"{net}.targets", targets)
    return x.double() if x.is_floating_point() else x


def mlp():
    g = torch.Generator().manual_seed(1)
    y = torch.randint(0, 5, (9,), generator=g)
    x = data("mlp", torch.randn(9, 11, generator=g), y)
    w = fresh("mlp", {"fc1.weight": (7, 11), "fc1.bias": (7,), "norm.gain": (7,), "norm.bias": (7,),
                      "fc2.weight": (5, 7), "fc2.bias": (5,)}, g)

    def loss(w, _):
        h = F.gelu(F.linear(x, w["fc1.weight"], w["fc1.bias"]))
        h = F.layer_norm(h, (7,), w["norm.gain"], w["norm.bias"], 1e-5)
        return F.cross_entropy(F.linear(h, w["fc2.weight"], w["fc2.bias"]), y, label_smoothing=0.1)
    train("mlp", w, loss)


def cnn():
    """Channels last, as there: x (B,H,W,C), weights (O,K,K,C). No bias before a batch norm: its gradient is rounding,
    which AdamW makes as large as any other."""
    g = torch.Generator().manual_seed(2)
    y = torch.randint(0, 3, (5,), generator=g)
    x = data("cnn", torch.randn(5, 9, 7, 2, generator=g), y)
    w = fresh("cnn", {"conv1.weight": (4, 3, 3, 2), "batch.gain": (4,), "batch.bias": (4,),
                      "conv2.weight": (6, 3, 3, 2), "group.gain": (6,), "group.bias": (6,), "fc.weight": (3, 24),
                      "fc.bias": (3,)}, g)

    def loss(w, state):
        if not state:
            state.update(mean=torch.zeros(4), var=torch.ones(4))
        h = F.conv2d(x.movedim(-1, 1), w["conv1.weight"].movedim(-1, 1), padding=1)
        h = F.batch_norm(h, state["mean"], state["var"], w["batch.gain"], w["batch.bias"], True, 0.1, 1e-5)
        h = F.max_pool2d(F.relu(h), 2, 1)
        h = F.conv2d(h, w["conv2.weight"].movedim(-1, 1), stride=2, padding=1, groups=2)
        h = F.silu(F.group_norm(h, 3, w["group.gain"], w["group.bias"], 1e-5))
        h = F.adaptive_avg_pool2d(h, 2).movedim(1, -1).flatten(1)
        return F.cross_entropy(F.linear(h, w["fc.weight"], w["fc.bias"]), y)
    train("cnn", w, loss)


def gru():
    """Two sequences of 7; the second ends after 5. nn.GRU's weights and order of gates."""
    g = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 9, (2, 8), generator=g)
    y = ids[:, 1:].clone()
    y[1, 5:] = -100
    x = data("gru", ids[:, :7], y)
    w = fresh("gru", {"embed": (9, 5), "w_ih": (18, 5), "w_hh": (18, 6), "b_ih": (18,), "b_hh": (18,),
                      "head.weight": (9, 6), "head.bias": (9,)}, g)

    def loss(w, _):
        names = ("w_ih", "w_hh", "b_ih", "b_hh")
        h, _ = torch.gru(F.embedding(x, w["embed"]), torch.zeros(1, 2, 6), [w[k] for k in names], True, 1, 0.0, True,
                         False, True)
        return F.cross_entropy(F.linear(h, w["head.weight"], w["head.bias"]).flatten(0, 1), y.flatten())
    train("gru", w, loss)


def llama(w, c, ids):
    """Logits (B,T,V) of a Llama; Touvron et al. (2023), rotary pairs half a head apart."""
    b, t = ids.shape
    d = c["hidden_size"] // c["num_attention_heads"]
    angle = torch.arange(t)[:, None] * c["rope_theta"] ** -(torch.arange(0, d, 2) / d)
    cos, sin = (torch.cat([f(angle)] * 2, -1)[:, None] for f in (torch.cos, torch.sin))

    def norm(x, name):
        return F.rms_norm(x, x.shape[-1:], w[name + ".weight"], c["rms_norm_eps"])

    def rotate(x):
        half = x[..., : d // 2], x[..., d // 2:]
        return x * cos + torch.cat([-half[1], half[0]], -1) * sin
    x = F.embedding(ids, w["model.embed_tokens.weight"])
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        line = lambda x, name: F.linear(x, w[p + name + ".weight"])
        h = norm(x, p + "input_layernorm")
        q, k, v = (line(h, f"self_attn.{s}_proj").reshape(b, t, -1, d) for s in "qkv")
        h = F.scaled_dot_product_attention(rotate(q).transpose(1, 2), rotate(k).transpose(1, 2), v.transpose(1, 2),
                                           is_causal=True, enable_gqa=True)
        x = x + line(h.transpose(1, 2).flatten(2), "self_attn.o_proj")
        h = norm(x, p + "post_attention_layernorm")
        x = x + line(F.silu(line(h, "mlp.gate_proj")) * line(h, "mlp.up_proj"), "mlp.down_proj")
    return norm(x, "model.norm") @ w["model.embed_tokens.weight"].T


def gpt():
    folder = HERE / "models" / "llama"
    c = json.loads((folder / "config.json").read_text())
    w = {k: v.double() for k, v in load_file(folder / "model.safetensors").items()}
    ids = load_file(folder / "golden.safetensors")["input_ids"].flatten()
    ids = torch.stack([ids, ids.flip(0)])
    model = transformers.LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64)
    with torch.no_grad():
        apart = (llama(w, c, ids) - model(ids).logits).abs().max()
    assert apart < 1e-5, apart

    def loss(w, _):
        return F.cross_entropy(llama(w, c, ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    train("gpt", w, loss, lr=0.01, steps=8, sums=True)


if __name__ == "__main__":
    mlp()
    cnn()
    gru()
    gpt()
    path = HERE / "torch_nets.safetensors"
    save_file(FILE, path)
    path.chmod(0o644)
    print(path.stat().st_size, "bytes")
