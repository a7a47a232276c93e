#!/usr/bin/env python3
"""Times a cohort's local step by Hugging Face transformers + PEFT on a GPU, to stand beside
  veryedge bench train --backend cuda --precision bf16 --model flan-t5-small --lengths samsum

The work: 10 clients, one after the other, each one SGD step of LoRA (r 16, q and v, dropout 0.05) on a mini-batch
of 8, padded to its longest input and target; lengths are drawn from the log-normal fit to SAMSum that veryedge's
bench draws from (in (4.739, 0.749), out (3.221, 0.531), correlation 0.60, at most 512 and 95). Weights and tokens
are random. Changing the adapter between clients is not counted. Needs torch, transformers, peft and a GPU.

  bench_peer_gpu.py [small|base|large[:WAY] ...]     a line per model and way to compute, ms per step of the cohort
                                                     WAY: autocast, bf16 (weights), float32; default: all three
"""
import math
import statistics
import sys
import time

import peft
import torch
import transformers

SHAPES = {"small": (512, 1024, 6, 8), "base": (768, 2048, 12, 12), "large": (1024, 2816, 16, 24)}
CLIENTS, BATCH, STEPS, WARMUP = 10, 8, 5, 1
WAYS = ("autocast", "bf16", "float32")


def lengths(generator):
    a, b = torch.randn(2, generator=generator).tolist()
    n_in = math.exp(4.739 + 0.749 * a)
    n_out = math.exp(3.221 + 0.531 * (0.60 * a + 0.80 * b))
    return min(max(round(n_in), 2), 512), min(max(round(n_out), 2), 95)


def minibatch(generator, device):
    sizes = [lengths(generator) for _ in range(BATCH)]
    longest_in, longest_out = max(s[0] for s in sizes), max(s[1] for s in sizes)
    ids = torch.randint(3, 32000, (BATCH, longest_in), generator=generator)
    labels = torch.randint(3, 32000, (BATCH, longest_out), generator=generator)
    mask = torch.zeros(BATCH, longest_in, dtype=torch.long)
    for i, (n_in, n_out) in enumerate(sizes):
        mask[i, :n_in] = 1
        labels[i, n_out:] = -100
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {k: v.to(device) for k, v in batch.items()}, sum(a + b for a, b in sizes)


def build(name, way):
    d_model, d_ff, heads, layers = SHAPES[name]
    config = transformers.T5Config(vocab_size=32128, d_model=d_model, d_kv=64, d_ff=d_ff, num_heads=heads,
                                   num_layers=layers, num_decoder_layers=layers, dropout_rate=0.1,
                                   feed_forward_proj="gated-gelu", tie_word_embeddings=False,
                                   decoder_start_token_id=0)
    torch.manual_seed(1)
    model = transformers.T5ForConditionalGeneration(config).cuda()
    if way == "bf16":
        model = model.to(torch.bfloat16)
    lora = peft.LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules=["q", "v"])
    return peft.get_peft_model(model, lora).train()


def measure(name, way):
    model = build(name, way)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    generator = torch.Generator().manual_seed(7)
    seconds, tokens = [], 0
    for step in range(WARMUP + STEPS):
        work = [minibatch(generator, "cuda") for _ in range(CLIENTS)]
        torch.cuda.synchronize()
        start = time.perf_counter()
        for batch, _ in work:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.bfloat16, enabled=way == "autocast"):
                loss = model(**batch).loss
            loss.backward()
            optimizer.step()
        torch.cuda.synchronize()
        if step >= WARMUP:
            seconds.append(time.perf_counter() - start)
            tokens += sum(n for _, n in work)
    print(f"flan-t5-{name:6s} {way:8s} {1e3 * statistics.median(seconds):8.2f} ms a step of the cohort "
          f"({1e3 * min(seconds):.2f} .. {1e3 * max(seconds):.2f}), {tokens / sum(seconds):9.0f} tokens/s, "
          f"peak {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB", flush=True)
    torch.cuda.reset_peak_memory_stats()


print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}, "
      f"{torch.cuda.get_device_name()}", flush=True)
for wanted in sys.argv[1:] or ["small", "large"]:
    model_name, _, one_way = wanted.partition(":")
    for how in [one_way] if one_way else WAYS:
        measure(model_name, how)
