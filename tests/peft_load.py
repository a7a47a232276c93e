"""What test_peft_hf wrote, loaded by Hugging Face: DIR holds model/, adapter/, merged/ and
ours.safetensors with input [S], target [T], logits [T, vocab] of model and adapter together, found
[4, N] tokens of beam search with the merged model. Prints the relative error of PEFT's logits and of
the merged model's; exit 1 when one is above 1e-4 or other tokens are found, 77 when a package is
missing."""
import sys

try:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import T5ForConditionalGeneration
except ImportError as missing:
    print(f"skipped: {sys.executable} has no {missing.name}")
    sys.exit(77)

SEARCHES = [(2, 1.0, False), (3, 2.5, False), (5, 0.5, True), (8, -1.0, False)]  # as test_peft_hf.c's
folder = sys.argv[1]
ours = load_file(f"{folder}/ours.safetensors")
ids, labels, want = ours["input"].long()[None], ours["target"].long()[None], ours["logits"]


def error_of(model):
    with torch.no_grad():
        got = model.eval()(input_ids=ids, labels=labels).logits[0]
    return ((got - want).norm() / want.norm()).item()


base = T5ForConditionalGeneration.from_pretrained(f"{folder}/model")
bare = error_of(base)
adapted = error_of(PeftModel.from_pretrained(base, f"{folder}/adapter"))
whole = T5ForConditionalGeneration.from_pretrained(f"{folder}/merged")
merged = error_of(whole)
n_same = 0
for row, (beams, penalty, early) in zip(ours["found"], SEARCHES):
    got = whole.generate(input_ids=ids, num_beams=beams, length_penalty=penalty, do_sample=False,
                         early_stopping=early, max_new_tokens=len(row))[0, 1:].tolist()
    n_same += got == [int(t) for t in row if t >= 0]
print(f"logits: PEFT {adapted:.1e}, merged {merged:.1e}; without the adapter {bare:.1e}; "
      f"beam search: {n_same} of {len(SEARCHES)} equal")
sys.exit(0 if max(adapted, merged) <= 1e-4 < bare and n_same == len(SEARCHES) else 1)
