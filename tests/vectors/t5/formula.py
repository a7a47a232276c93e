"""Makes formula/ beside this file: FLAN-T5-small's shape, weights, adapter and batch by formula, in float64.

    python3 formula.py [--float32 DIR]      (torch, transformers, peft, safetensors, numpy)

--float32 DIR makes it in PyTorch's float32 instead, in DIR, to see what rounding alone does to it.
"""
import hashlib
import json
import math
import os
import sys

import numpy
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration

N_IN, N_OUT, MAX_NEW = (93, 48), (30, 21), 16
CONFIG = {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8,
          "num_heads": 6, "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
          "dropout_rate": 0.1, "layer_norm_epsilon": 1e-06, "feed_forward_proj": "gated-gelu", "pad_token_id": 0,
          "eos_token_id": 1, "decoder_start_token_id": 0, "tie_word_embeddings": False, "model_type": "t5"}


def uniform(name, n):
    """n numbers in [0, 1), a function of name and index: models/t5_formula.c."""
    x = numpy.arange(n, dtype=numpy.uint64) + numpy.frombuffer(hashlib.sha256(name.encode()).digest()[:8], "<u8")[0]
    z = x + numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> numpy.uint64(30)) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> numpy.uint64(27)) * numpy.uint64(0x94D049BB133111EB)
    return ((z ^ z >> numpy.uint64(31)) >> numpy.uint64(40)).astype(numpy.float64) / 2**24


def std_of(name, last):
    if "lora_" in name:
        return 0.3 / math.sqrt(last) if "lora_A" in name else 0.15
    if "layer_norm" in name:
        return 0.1
    if "relative_attention_bias" in name or name == "shared.weight":
        return 0.5 if name != "shared.weight" else 1.0
    return (0.7 if ".q." in name and "EncDec" not in name else 1.0) / math.sqrt(last)


def fill(name, p):
    name = name.replace(".default", "")
    x = std_of(name, p.shape[-1]) * math.sqrt(3) * (2 * uniform(name, p.numel()) - 1)
    p.data = torch.from_numpy(x.astype(numpy.float32).reshape(p.shape)) + (1 if "layer_norm" in name else 0)


def build(dtype):
    m = T5ForConditionalGeneration(T5Config(**CONFIG))
    m.lm_head.weight = torch.nn.Parameter(torch.empty_like(m.shared.weight))  # the head's own
    m.encoder.embed_tokens.weight = m.decoder.embed_tokens.weight = m.shared.weight
    for name, p in m.named_parameters():
        fill(name, p)
    m = get_peft_model(m, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=["q", "v"],
                                     task_type="SEQ_2_SEQ_LM"))
    adapter = {n.replace(".default", ""): p for n, p in m.named_parameters() if "lora_" in n}
    for name, p in adapter.items():
        fill(name, p)
    return m.to(dtype).eval(), adapter


def batch():
    ids = torch.zeros(len(N_IN), max(N_IN), dtype=torch.int64)
    labels = torch.full((len(N_OUT), max(N_OUT)), -100, dtype=torch.int64)
    for s, (n, t) in enumerate(zip(N_IN, N_OUT)):
        words = torch.from_numpy((uniform(f"sequence {s}", n + t) * (CONFIG["vocab_size"] - 2) + 2).astype(numpy.int64))
        ids[s, :n], labels[s, :t] = words[:n], words[n:]
        ids[s, n - 1] = labels[s, t - 1] = 1  # the end
    return ids, labels


def generate(m, ids, mask, n_beams):
    with torch.no_grad():
        out = m.generate(input_ids=ids, attention_mask=mask, num_beams=n_beams, do_sample=False, length_penalty=1.0,
                         max_new_tokens=MAX_NEW, output_scores=True, return_dict_in_generate=True)
    best = [s.topk(2, dim=-1).values for s in out.scores]
    return out.sequences.tolist(), min((b[:, 0] - b[:, 1]).min().item() for b in best)


def main():
    is_double = sys.argv[1:2] != ["--float32"]
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "formula") if is_double else sys.argv[2]
    m, adapter = build(torch.float64 if is_double else torch.float32)
    ids, labels = batch()
    mask = (torch.arange(ids.shape[1])[None] < torch.tensor(N_IN)[:, None]).long()
    greedy, gap = generate(m, ids, mask, 1)
    ref = {"formula_weights": True, "r": 16, "alpha": 32, "targets": ["q", "v"], "start_greedy": greedy,
           "start_greedy_gap": gap, "start_beam4": generate(m, ids, mask, 4)[0]}
    out = m(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    nll = torch.nn.functional.cross_entropy(out.logits.transpose(1, 2), labels, reduction="none").sum(1).detach()
    ref["loss"] = out.loss.item()
    ref["grad_norm"] = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in adapter.values()))
    os.makedirs(os.path.join(folder, "model"), exist_ok=True)
    save_file({"input_ids": ids.int(), "labels": labels.int(), "nll_per_sequence": nll.float()},
              os.path.join(folder, "ref.safetensors"))
    for name, what in (("ref.json", ref), ("model/config.json", CONFIG)):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(what, f, indent=0)
            f.write("\n")


if __name__ == "__main__":
    main()
