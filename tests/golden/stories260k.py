"""Make the goldens of the 260 thousand parameter story model.

    pip install torch transformers
    python stories260k.py OUT_FILE.json FOLDER

FOLDER holds stories260K.bin and tok512.bin in the formats of llama2.c
($LINNET_DATA/stories260k). The model is rebuilt as a LlamaForCausalLM of
transformers, in float32; llama2.c rotates pairs of neighbours, transformers
the two halves of a head, so that the rows of wq and wk are put in order.

The JSON file holds
    prompt  `text` and its `ids` (with 1 = begin in front)
    logits  for each position of the prompt `argmax`, `logsumexp`, `top_ids`
            and `top_logits` (the 16 largest), and `last`, all the logits of
            the last position
    greedy  `ids` to start with; the `continuation`, its text `decoded`, and
            `margin`, the smallest distance of the two largest logits; once
            from the begin token alone and once from the prompt
    tokens  texts with their ids, without a begin token
"""

import argparse
import pathlib
import struct

import numpy as np
import torch
import transformers

import real_models

TEXT = ('One day, a little girl named Lucy went to the park with her mom. '
        'She saw')
TEXTS = ('', ' ', 'Once upon a time', 'Lily', ' Lily', 'a  b', 'naïve café',
         'line\nbreak', '😀', '"Hi!" she said.', '12345', 'QWERTY', '\t')
TOP = 16


class Tokens:
    """The tokeniser of llama2.c."""

    def __init__(self, path):
        data = path.read_bytes()
        self.pieces = []
        self.scores = []
        at = 4
        while at < len(data):
            score, size = struct.unpack_from('<fi', data, at)
            self.scores.append(score)
            self.pieces.append(data[at + 8:at + 8 + size])
            at += 8 + size
        self.known = {}
        for i, piece in enumerate(self.pieces):
            self.known.setdefault(piece, i)

    def encode(self, text):
        if not text:
            return []
        ids = []
        for char in ' ' + text:
            data = char.encode('utf-8')
            ids += ([self.known[data]] if data in self.known
                    else [byte + 3 for byte in data])
        while True:
            best = None
            for i in range(len(ids) - 1):
                joined = self.known.get(
                    self.pieces[ids[i]] + self.pieces[ids[i + 1]])
                if joined is not None and (
                        best is None or self.scores[joined] > best[0]):
                    best = self.scores[joined], i, joined
            if best is None:
                return ids
            ids[best[1]:best[1] + 2] = [best[2]]

    def decode(self, ids):
        """The text, as the continuation of a text: no space is dropped."""
        data = b''.join(bytes([i - 3]) if 3 <= i < 259 else self.pieces[i]
                        for i in ids)
        return data.decode('utf-8', errors='replace')


def halves(weight, heads):
    """Order the rows of each head: even ones first, then odd ones."""
    rows, columns = weight.shape
    parts = weight.reshape(heads, rows // heads // 2, 2, columns)
    return parts.swapaxes(1, 2).reshape(rows, columns)


def load(path):
    data = path.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, seq = struct.unpack_from(
        '<7i', data)
    values = np.frombuffer(data, '<f4', offset=28)
    at = 0

    def take(*shape):
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return values[at - size:at].reshape(shape)

    kv_dim = dim // heads * kv_heads
    state = {'model.embed_tokens.weight': take(vocab, dim)}
    state['lm_head.weight'] = state['model.embed_tokens.weight']
    parts = (
        ('input_layernorm', (dim,)), ('self_attn.q_proj', (dim, dim)),
        ('self_attn.k_proj', (kv_dim, dim)),
        ('self_attn.v_proj', (kv_dim, dim)),
        ('self_attn.o_proj', (dim, dim)),
        ('post_attention_layernorm', (dim,)),
        ('mlp.gate_proj', (hidden, dim)), ('mlp.down_proj', (dim, hidden)),
        ('mlp.up_proj', (hidden, dim)))
    for name, shape in parts:
        for i, weight in enumerate(take(layers, *shape)):
            if name.endswith('q_proj'):
                weight = halves(weight, heads)
            elif name.endswith('k_proj'):
                weight = halves(weight, kv_heads)
            state['model.layers.%d.%s.weight' % (i, name)] = weight
    state['model.norm.weight'] = take(dim)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=vocab, hidden_size=dim, intermediate_size=hidden,
        num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv_heads, max_position_embeddings=seq,
        rms_norm_eps=1e-5, tie_word_embeddings=True,
        attn_implementation='eager', rope_parameters={
            'rope_type': 'default', 'rope_theta': 10000.0}))
    model.load_state_dict(
        {name: torch.tensor(value) for name, value in state.items()})
    return model.eval()


def greedy(model, tokens, ids, count):
    seen = list(ids)
    margin = float('inf')
    for _ in range(count):
        best = model(torch.tensor([seen]),
                     use_cache=False).logits[0, -1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        seen.append(int(best.indices[0]))
    rest = seen[len(ids):]
    return {'ids': ids, 'continuation': rest, 'decoded': tokens.decode(rest),
            'margin': round(margin, 4)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out_file', type=pathlib.Path)
    parser.add_argument('folder', type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokens = Tokens(args.folder / 'tok512.bin')
    model = load(args.folder / 'stories260K.bin')
    ids = [1] + tokens.encode(TEXT)
    with torch.no_grad():
        out = model(torch.tensor([ids])).logits[0]
        top = out.topk(TOP)
        real_models.write(args.out_file, {
            'model': 'stories260K.bin',
            'prompt': {'text': TEXT, 'ids': ids},
            'logits': {
                'argmax': out.argmax(-1).tolist(),
                'logsumexp': real_models.rounded(out.logsumexp(-1)),
                'top_ids': top.indices.tolist(),
                'top_logits': [real_models.rounded(row, 5)
                               for row in top.values],
                'last': real_models.rounded(out[-1], 5),
            },
            'greedy': [greedy(model, tokens, [1], 96),
                       greedy(model, tokens, ids, 64)],
            'tokens': [{'text': text, 'ids': tokens.encode(text)}
                       for text in TEXTS],
        })


if __name__ == '__main__':
    main()
