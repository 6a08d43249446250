"""Runs in kvpress's own environment: compresses each conversation's cache by each press, then asks for its facts. Knows nothing of Loci.

In FOLDER: config.json and model.safetensors of a Qwen3, cases.json with the conversations, the budgets and the presses by name. A press
compresses the whole conversation at once when it has been read. Writes rights.json: a share of right answers for each press, budget and conversation.
"""

import copy
import json
import sys
from pathlib import Path

import kvpress
import torch
from safetensors.torch import load_file
from transformers import DynamicCache, Qwen3Config, Qwen3ForCausalLM


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    model = Qwen3ForCausalLM(Qwen3Config(**json.loads((folder / "config.json").read_text("utf-8")))).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    told = json.loads((folder / "cases.json").read_text("utf-8"))
    rights, done = {}, 0
    for name, options in told["presses"].items():
        for budget in told["budgets"]:
            rights[f"{name} {budget}"] = []
            for case in told["cases"]:
                press = getattr(kvpress, name)(compression_ratio=1 - budget / len(case["tokens"]), **options)
                rights[f"{name} {budget}"].append(share(model, press, case))
                done += 1
                print("done", done, flush=True)
    (folder / "rights.json").write_text(json.dumps(rights), "utf-8")


def share(model, press, case) -> float:
    """Reads a conversation under a press and asks each question of a copy of what is left."""
    cache, length = DynamicCache(), len(case["tokens"])
    with torch.no_grad():
        with press(model):
            model(input_ids=torch.tensor([case["tokens"]]), past_key_values=cache, use_cache=True)
        right = 0
        for question, answer in case["asked"]:
            logits = model(
                input_ids=torch.tensor([[question]]),
                position_ids=torch.tensor([[length]]),
                past_key_values=copy.deepcopy(cache),
                use_cache=True,
            ).logits
            right += int(logits[0, -1].argmax()) == answer
    return right / len(case["asked"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
