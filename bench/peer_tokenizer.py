#!/usr/bin/env python3
"""peer_tokenizer.py tokenizer.json TEXT REPEAT: the package tokenizers on the same text, on one thread."""
import os
import sys

from peer_common import answer, fastest

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def main():
    path, text_path, repeat = sys.argv[1], sys.argv[2], int(sys.argv[3])
    try:
        import tokenizers
    except ImportError:
        return answer([], ["tokenizers"])
    tokenizer = tokenizers.Tokenizer.from_file(path)
    raw = open(text_path, "rb").read()
    text = raw.decode("utf-8", "replace")
    seconds = fastest(repeat, lambda: tokenizer.encode(text, add_special_tokens=False))
    return answer([{"peer": "tokenizers", "version": tokenizers.__version__, "rate": len(raw) * 1e-6 / seconds}], [])


if __name__ == "__main__":
    main()
