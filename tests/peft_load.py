"""What test_peft_hf wrote, loaded by Hugging Face: DIR holds model/, adapter/, merged/ and
ours.safetensors with input [S], target [T], logits [T, vocab] of model and adapter together. Prints
the relative error of PEFT's logits and of the merged model's; exit 1 when one is above 1e-4, 77
when a package is missing."""
import sys

try:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import T5ForConditionalGeneration
except ImportError as missing:
    print(f"skipped: {sys.executable} has no {missing.name}")
    sys.exit(77)

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
merged = error_of(T5ForConditionalGeneration.from_pretrained(f"{folder}/merged"))
print(f"logits: PEFT {adapted:.1e}, merged {merged:.1e}; without the adapter {bare:.1e}")
sys.exit(0 if max(adapted, merged) <= 1e-4 < bare else 1)
