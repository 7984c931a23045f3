"""Make tiny random models and their outputs with `transformers`.

    pip install torch transformers safetensors
    python tiny_models.py OUT_DIR

OUT_DIR is the folder `models` beside this file. For every family it holds a
folder with config.json, model.safetensors (float32) and golden.safetensors.
The weights are far larger than a usual initialisation, so that a wrong
detail shows in the outputs.

golden.safetensors of a causal model:
    input_ids      I64 [L]           longer than the sliding window
    logits         F32 [L, V]
    hidden_states  F32 [N + 1, L, H] the embedding, then after each layer; the
                                     last one after the final norm
    greedy_ids     I64 [16]          the greedy continuation of input_ids

golden.safetensors of bert (two sequences, the second one padded):
    input_ids, token_type_ids, attention_mask  I64 [2, L]
    hidden_states      F32 [N + 1, 2, L, H]
    last_hidden_state  F32 [2, L, H]
    pooler_output      F32 [2, H]
    embedding          F32 [2, H]  mean over the unmasked tokens of the last
                                   hidden state, Euclidean norm 1

The config.json of qwen3 and llama_llama3 have the form of transformers 5
(`rope_parameters`, `dtype`), the others that of version 4 (`rope_theta`,
`rope_scaling`, `torch_dtype`). Before anything is stored, the model is read
back from the stored files and must give the same outputs.
"""

import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file

VOCAB = 64
LENGTH = 24
NEW_TOKENS = 16

COMMON = {
    'vocab_size': VOCAB, 'hidden_size': 32, 'num_hidden_layers': 2,
    'num_attention_heads': 4, 'num_key_value_heads': 2,
    'intermediate_size': 24, 'max_position_embeddings': 256,
    'rms_norm_eps': 1e-5, 'tie_word_embeddings': True, 'hidden_act': 'silu',
    'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': None,
}

# Family: architecture, sequence length, differences from COMMON.
FAMILIES = {
    'llama': ('llama', LENGTH, {'rope_theta': 10000.0}),
    'llama_llama3': ('llama', 80, {
        'tie_word_embeddings': False, 'num_attention_heads': 2,
        'num_key_value_heads': 1, 'rope_theta': 10000.0,
        'rope_scaling': {
            'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0,
            'high_freq_factor': 4.0,
            'original_max_position_embeddings': 32}}),
    'llama_linear': ('llama', LENGTH, {
        'rope_theta': 10000.0,
        'rope_scaling': {'rope_type': 'linear', 'type': 'linear',
                         'factor': 4.0}}),
    'mistral': ('mistral', LENGTH, {
        'rope_theta': 10000.0, 'sliding_window': 8, 'head_dim': 8}),
    'qwen2': ('qwen2', LENGTH, {
        'rope_theta': 1000000.0, 'rms_norm_eps': 1e-6,
        'use_sliding_window': False}),
    'qwen3': ('qwen3', LENGTH, {
        'rope_theta': 1000000.0, 'rms_norm_eps': 1e-6, 'head_dim': 12,
        'intermediate_size': 16, 'attention_bias': False,
        'use_sliding_window': False}),
    'bert': ('bert', LENGTH, {
        'vocab_size': 48, 'intermediate_size': 40, 'hidden_act': 'gelu',
        'max_position_embeddings': 32, 'type_vocab_size': 2,
        'layer_norm_eps': 1e-12, 'pad_token_id': 0,
        'position_embedding_type': 'absolute'}),
}

ARCHITECTURES = {
    'llama': 'LlamaForCausalLM', 'mistral': 'MistralForCausalLM',
    'qwen2': 'Qwen2ForCausalLM', 'qwen3': 'Qwen3ForCausalLM',
    'bert': 'BertModel',
}

NEW_STYLE = ('qwen3', 'llama_llama3')


def config_of(family):
    """The content of config.json."""
    kind, _, special = FAMILIES[family]
    config = {'architectures': [ARCHITECTURES[kind]], 'model_type': kind}
    config |= COMMON | special
    if kind == 'bert':
        for key in ('rms_norm_eps', 'num_key_value_heads', 'bos_token_id',
                    'eos_token_id', 'tie_word_embeddings'):
            del config[key]
        config |= {'hidden_dropout_prob': 0.0,
                   'attention_probs_dropout_prob': 0.0}
    if family in NEW_STYLE:
        rope = config.pop('rope_scaling', {'rope_type': 'default'})
        config['rope_parameters'] = rope | {
            'rope_theta': config.pop('rope_theta')}
        config['dtype'] = 'float32'
    else:
        config['torch_dtype'] = 'float32'
    return config


def fill(model, seed):
    """Large random weights; norms around 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = 0.3 * torch.randn(weight.shape, generator=generator)
            norm = 'norm' in name.lower() and name.endswith('weight')
            weight.copy_(noise + 1 if norm else noise)


def load(folder, kind):
    model = getattr(transformers, ARCHITECTURES[kind]).from_pretrained(
        folder, attn_implementation='eager', dtype=torch.float32)
    return model.eval()


def causal_golden(model, length, generator):
    ids = torch.randint(3, VOCAB, (length,), generator=generator)
    with torch.no_grad():
        out = model(ids[None], output_hidden_states=True)
        seen = ids
        for _ in range(NEW_TOKENS):
            last = model(seen[None], use_cache=False).logits[0, -1]
            top = last.topk(2).values
            assert top[0] - top[1] > 1e-3, 'greedy choice too close'
            seen = torch.cat([seen, last.argmax()[None]])
    return {
        'input_ids': ids,
        'logits': out.logits[0],
        'hidden_states': torch.stack([h[0] for h in out.hidden_states]),
        'greedy_ids': seen[length:],
    }


def bert_golden(model, length, generator):
    shape = (2, length)
    ids = torch.randint(1, 48, shape, generator=generator)
    types = torch.zeros(shape, dtype=torch.int64)
    types[0, 13:] = 1
    types[1, 5:17] = 1
    mask = torch.ones(shape, dtype=torch.int64)
    mask[1, 17:] = 0
    ids = ids * mask
    with torch.no_grad():
        out = model(ids, attention_mask=mask, token_type_ids=types,
                    output_hidden_states=True)
    last = out.last_hidden_state
    mean = (last * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return {
        'input_ids': ids, 'token_type_ids': types, 'attention_mask': mask,
        'hidden_states': torch.stack(out.hidden_states),
        'last_hidden_state': last,
        'pooler_output': out.pooler_output,
        'embedding': torch.nn.functional.normalize(mean, dim=1),
    }


def make(family, folder):
    kind, length, _ = FAMILIES[family]
    seed = 1 + sorted(FAMILIES).index(family)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config_of(family), indent=2, sort_keys=True)
    (folder / 'config.json').write_text(text + '\n', encoding='utf-8')
    config = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, ARCHITECTURES[kind])(config).eval()
    fill(model, seed)
    weights = {name: weight.detach().clone()
               for name, weight in model.named_parameters()}
    save_file(weights, folder / 'model.safetensors', {'format': 'pt'})
    golden = bert_golden if kind == 'bert' else causal_golden
    result = golden(load(folder, kind), length,
                    torch.Generator().manual_seed(seed))
    save_file({k: v.contiguous() for k, v in result.items()},
              folder / 'golden.safetensors',
              {'peer': 'transformers ' + transformers.__version__})
    model.set_attn_implementation('eager')
    again = golden(model, length, torch.Generator().manual_seed(seed))
    for name, value in result.items():
        assert torch.equal(value, again[name]), (family, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out_dir', type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for family in FAMILIES:
        make(family, args.out_dir / family)


if __name__ == '__main__':
    main()
