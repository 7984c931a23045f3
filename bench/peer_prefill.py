#!/usr/bin/env python3
"""peer_prefill.py MODEL THREADS TOKENS CONTEXT REPEAT: TOKENS tokens into an empty cache, logits of the last one.

llama.cpp reads a GGUF file as it is. PyTorch runs a dense model of the same configuration (from a Hugging Face directory
or a GGUF file) in f32 and bf16, with weights made at random: time does not depend on their values, and the packed
weights that transformers keeps of a GGUF file would be slower than what PyTorch can do."""
import os
import sys

from peer_common import answer, fastest

os.environ["TRANSFORMERS_VERBOSITY"] = "error"


def ids(tokens, vocab):
    return [(i * 7919 + 13) % vocab for i in range(tokens)]


def run_llama_cpp(model, threads, tokens, repeat):
    import llama_cpp

    llm = llama_cpp.Llama(model, n_ctx=tokens + 8, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    prompt = ids(tokens, llm.n_vocab())

    def run():
        llm.reset()
        llm.eval(prompt)

    return {"peer": "llama.cpp", "version": "llama-cpp-python " + llama_cpp.__version__,
            "rate": tokens / fastest(repeat, run)}


def run_torch(model, threads, tokens, repeat):
    import torch
    import transformers

    torch.set_num_threads(threads)
    where, extra = (model, {}) if os.path.isdir(model) else (os.path.dirname(os.path.abspath(model)),
                                                             {"gguf_file": os.path.basename(model)})
    config = transformers.AutoConfig.from_pretrained(where, **extra)
    for dtype in (torch.float32, torch.bfloat16):
        net = transformers.AutoModelForCausalLM.from_config(config).to(dtype).eval()
        prompt = torch.tensor([ids(tokens, net.config.vocab_size)])

        def run():
            with torch.no_grad():
                net.lm_head(net.model(prompt, use_cache=True).last_hidden_state[:, -1])

        yield {"peer": "PyTorch " + str(dtype).split(".")[-1], "version": torch.__version__,
               "rate": tokens / fastest(repeat, run)}


def main():
    model, threads, tokens, _, repeat = sys.argv[1], *map(int, sys.argv[2:6])
    peers, missing = [], []
    try:
        import llama_cpp  # noqa: F401

        if os.path.isfile(model):
            peers.append(run_llama_cpp(model, threads, tokens, repeat))
        else:
            missing.append("llama.cpp (it reads only GGUF files)")
    except ImportError:
        missing.append("llama-cpp-python")
    try:
        peers.extend(run_torch(model, threads, tokens, repeat))
    except (ImportError, OSError, ValueError) as why:
        missing.append("PyTorch with transformers (" + str(why).splitlines()[0] + ")")
    answer(peers, missing)


if __name__ == "__main__":
    main()
