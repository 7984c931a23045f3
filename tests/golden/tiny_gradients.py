"""Gradients of the tiny models with `transformers`, in float64.

    pip install torch transformers safetensors
    python tiny_gradients.py MODELS_DIR

MODELS_DIR is the folder `models` beside this file, with the models that
tiny_models.py made. Each of FAMILIES gets gradients.safetensors: `loss` F64
[1], and the gradient of every weight under its name, F32.

Loss of a causal model: two sequences, input_ids of golden.safetensors and
the same ids from last to first; mean cross entropy of each next token.

Loss of bert: the two sequences of golden.safetensors; the dot product of
their embeddings (see tiny_models.py) plus the mean square of the last hidden
states of unmasked tokens. The pooler takes no part and has no gradient.
"""

import argparse
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

from tiny_models import ARCHITECTURES, FAMILIES as ALL

FAMILIES = ('llama', 'llama_llama3', 'mistral', 'qwen2', 'qwen3', 'bert')


def causal_loss(model, golden):
    ids = golden['input_ids']
    ids = torch.stack([ids, ids.flip(0)])
    logits = model(ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))


def bert_loss(model, golden):
    mask = golden['attention_mask']
    last = model(golden['input_ids'], attention_mask=mask,
                 token_type_ids=golden['token_type_ids']).last_hidden_state
    mean = (last * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    first, second = torch.nn.functional.normalize(mean, dim=1)
    return first @ second + last[mask == 1].square().mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('models_dir', type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for family in FAMILIES:
        folder = args.models_dir / family
        kind = ALL[family][0]
        model = getattr(transformers, ARCHITECTURES[kind]).from_pretrained(
            folder, attn_implementation='eager', dtype=torch.float64).eval()
        loss = (bert_loss if kind == 'bert' else causal_loss)(
            model, load_file(folder / 'golden.safetensors'))
        loss.backward()
        result = {name: weight.grad.float()
                  for name, weight in model.named_parameters()
                  if weight.grad is not None}
        result['loss'] = loss.detach()[None]
        save_file(result, folder / 'gradients.safetensors',
                  {'peer': 'transformers ' + transformers.__version__})


if __name__ == '__main__':
    main()
