#!/usr/bin/env python3
"""peer_train.py WHAT THREADS REPEAT [MODEL]: training steps of PyTorch on the CPU (eager, f32, AdamW), the same shapes as
`linnet bench train`: mlp (784-256-10, batch 64; steps/s), gpt (six Llama blocks of 384, batch 4 of 256 tokens; tokens/s),
lora (MODEL with rank-8 pairs on q and v, batch 1 of 256 tokens; tokens/s). Memory is the growth of the resident set."""
import os
import resource
import sys

from peer_common import answer, fastest

os.environ["TRANSFORMERS_VERBOSITY"] = "error"


def resident_peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def mlp(torch):
    net = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    x, y = torch.rand(64, 784), torch.randint(0, 10, (64,))

    def step():
        opt.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(x), y).backward()
        opt.step()

    return step, 1


def gpt(torch):
    nn, F = torch.nn, torch.nn.functional
    vocab, width, heads, ffn, layers, batch, length = 256, 384, 6, 1024, 6, 4, 256
    d = width // heads
    angle = torch.outer(torch.arange(length).float(), 10000.0 ** (-torch.arange(0, d, 2).float() / d))
    cos, sin = angle.cos(), angle.sin()

    def rotate(x):
        a, b = x[..., : d // 2], x[..., d // 2:]
        c, s = cos[None, :, None], sin[None, :, None]
        return torch.cat((a * c - b * s, b * c + a * s), -1)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.n1, self.n2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
            self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
            self.gate, self.up = (nn.Linear(width, ffn, bias=False) for _ in range(2))
            self.down = nn.Linear(ffn, width, bias=False)

        def forward(self, x):
            h = self.n1(x)
            q, k, v = (p(h).view(batch, length, heads, d) for p in (self.q, self.k, self.v))
            q, k = rotate(q), rotate(k)
            a = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
            x = x + self.o(a.transpose(1, 2).reshape(batch, length, width))
            h = self.n2(x)
            return x + self.down(F.silu(self.gate(h)) * self.up(h))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(vocab, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm = nn.RMSNorm(width, eps=1e-5)

        def forward(self, ids):
            x = self.embed(ids)
            for b in self.blocks:
                x = b(x)
            return self.norm(x) @ self.embed.weight.T

    net = Net()
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    ids = torch.randint(0, vocab, (batch, length + 1))

    def step():
        opt.zero_grad(set_to_none=True)
        F.cross_entropy(net(ids[:, :-1]).reshape(-1, vocab), ids[:, 1:].reshape(-1)).backward()
        opt.step()

    return step, batch * length


def lora(torch, model):
    import transformers

    where, extra = (model, {}) if os.path.isdir(model) else (os.path.dirname(os.path.abspath(model)),
                                                             {"gguf_file": os.path.basename(model)})
    config = transformers.AutoConfig.from_pretrained(where, **extra)
    net = transformers.AutoModelForCausalLM.from_config(config).float().train()

    class Pair(torch.nn.Module):
        def __init__(self, base, rank=8):
            super().__init__()
            self.base = base
            self.a = torch.nn.Linear(base.in_features, rank, bias=False)
            self.b = torch.nn.Linear(rank, base.out_features, bias=False)
            torch.nn.init.zeros_(self.b.weight)

        def forward(self, x):
            return self.base(x) + 2.0 * self.b(self.a(x))

    net.requires_grad_(False)
    for block in net.model.layers:
        block.self_attn.q_proj = Pair(block.self_attn.q_proj)
        block.self_attn.v_proj = Pair(block.self_attn.v_proj)
    opt = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, config.vocab_size, (1, 256))

    def step():
        opt.zero_grad(set_to_none=True)
        net(ids, labels=ids).loss.backward()
        opt.step()

    return step, 256


def main():
    what, threads, repeat = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        before = resident_peak()
        step, work = {"mlp": mlp, "gpt": gpt}[what](torch) if what != "lora" else lora(torch, sys.argv[4])
        seconds = fastest(repeat, step)
    except (ImportError, OSError, ValueError) as why:
        answer([], ["PyTorch (" + str(why).splitlines()[0] + ")"])
        return
    answer([{"peer": "PyTorch", "version": torch.__version__, "rate": work / seconds,
             "bytes": resident_peak() - before}], [])


if __name__ == "__main__":
    main()
