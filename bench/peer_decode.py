#!/usr/bin/env python3
"""peer_decode.py MODEL.gguf THREADS TOKENS CONTEXT REPEAT: llama.cpp, one token at a time after CONTEXT tokens."""
import os
import sys

from peer_common import answer, fastest


def run_llama_cpp(model, threads, tokens, context, repeat):
    import llama_cpp as peer

    llm = peer.Llama(model, n_ctx=context + tokens + 8, n_threads=threads, n_threads_batch=threads, verbose=False)
    vocab = llm.n_vocab()
    prompt = [(i * 7919 + 13) % vocab for i in range(context + tokens)]

    def run():
        llm.n_tokens = context  # forget what came after the context
        for t in prompt[context:]:
            llm.eval([t])

    llm.eval(prompt[:context])
    return {"peer": "llama.cpp", "version": "llama-cpp-python " + peer.__version__, "rate": tokens / fastest(repeat, run)}


def main():
    model, threads, tokens, context, repeat = sys.argv[1], *map(int, sys.argv[2:6])
    peers, missing = [], []
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        missing.append("llama-cpp-python")
    else:
        if os.path.isfile(model):
            peers.append(run_llama_cpp(model, threads, tokens, context, repeat))
        else:
            missing.append("llama.cpp (it reads only GGUF files)")
    answer(peers, missing)


if __name__ == "__main__":
    main()
