"""Make the embedded models, in as many processes as torchrun starts: `make tiny`. Four steps; a run that was killed goes on in WORK.

The weights land in undertone/models/weights as bf16 safetensors, with figures.json beside them.
"""

import argparse
import os
from datetime import timedelta
from pathlib import Path

import clips
import frozen
import measure
import speech
import text
import torch
import torch.distributed as dist
import tower
from clips import Pool
from common import ATTENTION, is_known, rank, wait, word_table, world
from transformers import Qwen2ForCausalLM

from undertone.models import tiny
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.run import commit
from undertone.speech.writers.grammar import Query, all_queries


def fresh_model(seed: int) -> tuple[Qwen2_5Omni, tower.Hearing]:
    """The thinker with random weights and the fixed word table, and the throw-away heads."""
    model = Qwen2_5Omni.tiny(seed)
    model.module.set_attn_implementation(ATTENTION)
    table = model.module.get_input_embeddings().weight
    table.requires_grad_(False).copy_(word_table(seed, *table.shape))
    model.module.model.visual.requires_grad_(False)
    model.module.model.audio_tower.audio_bos_eos_token.requires_grad_(False)
    return model, tower.Hearing(table.shape[1])


def adopt_language_model(model: Qwen2_5Omni, folder: Path) -> None:
    """Put the language model of step 1 into the thinker."""
    learnt = Qwen2ForCausalLM.from_pretrained(folder)
    model.text_model.load_state_dict(learnt.model.state_dict())
    model.lm_head.load_state_dict(learnt.lm_head.state_dict())


def save(model: Qwen2_5Omni, lm: Path, out: Path) -> None:
    """Ship both checkpoints in bf16."""
    thinker, words = out / "undertone-tiny", out / "undertone-tiny-lm"
    model.module.to(torch.bfloat16).save_pretrained(thinker)
    model.tokenizer.save_pretrained(thinker)
    model.extractor.save_pretrained(thinker)
    Qwen2ForCausalLM.from_pretrained(lm, dtype=torch.bfloat16).save_pretrained(words)
    model.tokenizer.save_pretrained(words)


def speak(work: Path, taught: list[Query], count: int, seed: int) -> Pool:
    """The speech to learn from; the first process makes it, the others wait and open it."""
    if rank():
        wait()
    made = clips.make(work / "train.f16", taught, list(range(len(taught))), clips.TRAIN_SPEAKERS, count, seed, os.cpu_count() or 1)
    if not rank():
        wait()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/make_tiny"))
    parser.add_argument("--out", type=Path, default=tiny.WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=80_000)
    parser.add_argument("--steps", type=int, nargs=4, default=(4000, 6500, 4500, 12000), metavar=("TEXT", "TOWER", "SPEECH", "EARS"))
    parser.add_argument("--only", choices=["ears"], help="make only the ears of the frozen language model in OUT")
    parser.add_argument("--batch", type=int, default=16, help="speech clips a step and process")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if "RANK" in os.environ:
        dist.init_process_group("gloo", timeout=timedelta(hours=1))
        torch.set_num_threads(1)

    taught = world()
    pool = speak(given.work, taught, given.clips, given.seed)
    if given.only == "ears":
        ears(taught, pool, given)
        return
    text.main(given.work, given.seed, given.steps[0], given.batch)
    model, hearing = fresh_model(given.seed)
    tower.main(model, hearing, taught, pool, given.work, given.seed, given.steps[1], given.batch)
    adopt_language_model(model, given.work / "lm")
    speech.main(model, hearing, taught, pool, given.work, given.seed, given.steps[2], given.batch)
    if rank() == 0:
        made = {"commit": commit(), "seed": given.seed, "clips": given.clips, "steps": list(given.steps), "batch": given.batch}
        save(model, given.work / "lm", given.out)
    wait()
    ears(taught, pool, given)
    if rank() == 0:
        measure.write(given.out, given.work, made)
    wait()


def ears(taught: list[Query], pool: Pool, given: argparse.Namespace) -> None:
    """Step 4, for the language model that lies in OUT."""
    asked = list(all_queries())
    known = [i for i, query in enumerate(asked) if is_known(query)]
    if rank():
        wait()
    held = clips.make(given.work / "dev.f16", asked, known, clips.DEV_SPEAKERS, 300, 4, os.cpu_count() or 1)
    if not rank():
        wait()
    frozen.main(taught, pool, (asked, held), given.work, given.out, given.seed, given.steps[3], given.batch)


if __name__ == "__main__":
    main()
