"""Step 2: the audio tower learns the words and the voice.

Words: CTC (Graves et al. 2006) whose output layer is the language model's own embedding table, so that what the tower emits where
it hears a word points where that word's embedding points. Voice: age, gender and emotion from the mean-pooled output, against the same
table (a child's voice points where the word "child" points, as towers trained on captions do), pitch and rate by a head that is thrown
away.
"""

from pathlib import Path
from typing import NamedTuple

import clips
import numpy as np
import torch
from clips import Clip, Pool, prosody
from common import fit
from torch import Tensor, nn
from torch.nn import functional as F

from undertone.attributes import ATTRIBUTES, Attribute
from undertone.models.base import Batch
from undertone.models.qwen2_5_omni import Qwen2_5Omni
from undertone.speech.writers.grammar import Query


class Hearing(nn.Module):
    """The throw-away parts of the objective: CTC scale and blank bias, a linear head for pitch and rate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0))
        self.blank = nn.Parameter(torch.tensor(0.0))
        self.prosody = nn.Linear(width, 2)


def audio_batch(pool: Pool, chosen: list[Clip], noise: float = 0.0) -> Batch:
    """The frames of `chosen` in a row; ids stay empty, for objectives that look at the tower alone."""
    mel = [torch.from_numpy(clips.frames(pool, clip)) for clip in chosen]
    frames = torch.cat(mel)
    empty = torch.zeros(0, 0, dtype=torch.long)
    return Batch(empty, empty, empty, frames + noise * torch.randn_like(frames), torch.tensor([len(m) for m in mel]))


def token_counts(model: Qwen2_5Omni, chosen: list[Clip]) -> list[int]:
    """Audio embeddings per clip."""
    return [model.token_count(clip.frames) for clip in chosen]


def words_loss(model: Qwen2_5Omni, hearing: Hearing, heard: Tensor, counts: list[int], texts: list[str]) -> Tensor:
    """CTC of the texts' tokens against the language model's embedding table, per token."""
    table = F.normalize(model.module.get_input_embeddings().weight.detach(), dim=-1)
    logits = hearing.scale * nn.utils.rnn.pad_sequence(heard.split(counts)) @ table.T
    rows = (logits + hearing.blank * F.one_hot(torch.tensor(model.audio_token_id), len(table))).log_softmax(-1)
    targets = [torch.tensor(model.tokenizer.encode(f" {text}")) for text in texts]
    lengths = torch.tensor([len(target) for target in targets])
    return F.ctc_loss(rows, torch.cat(targets), torch.tensor(counts), lengths, blank=model.audio_token_id, zero_infinity=True)


def note_words(model: Qwen2_5Omni, row: Attribute) -> list[int]:
    """The token of the word that tells each value of `row` apart in a note, in class order: child, woman, sad, …"""
    return [model.tokenizer.encode(f" {value.note.split()[-1]}")[0] for value in row.values]


def voice_loss(model: Qwen2_5Omni, hearing: Hearing, heard: Tensor, counts: list[int], chosen: list[Clip]) -> Tensor:
    """Mean cross-entropy of the attributes and squared error of log pitch and log rate, from mean-pooled output."""
    pooled = torch.stack([part.mean(0) for part in heard.split(counts)])
    table = model.module.get_input_embeddings().weight.detach()
    losses = [
        F.cross_entropy(
            hearing.scale * pooled @ F.normalize(table[note_words(model, row)], dim=-1).T,
            torch.tensor([row.names.index(clip.attributes[row.name]) for clip in chosen]),
        )
        for row in ATTRIBUTES.values()
    ]
    target = torch.tensor([prosody(clip) for clip in chosen])
    return torch.stack(losses).mean() + F.mse_loss(hearing.prosody(pooled), target)


class Heard(NamedTuple):
    """Both losses of some clips, their audio embeddings in a row, and how many each has."""

    words: Tensor
    voice: Tensor
    audio: Tensor
    counts: list[int]


def hear(model: Qwen2_5Omni, hearing: Hearing, queries: list[Query], pool: Pool, chosen: list[Clip]) -> Heard:
    """Let the tower hear `chosen`, with a little noise on the frames."""
    counts = token_counts(model, chosen)
    audio = model.listen(audio_batch(pool, chosen, noise=0.1))
    words = words_loss(model, hearing, audio, counts, [queries[clip.query].text for clip in chosen])
    return Heard(words, voice_loss(model, hearing, audio, counts, chosen), audio, counts)


@torch.inference_mode()
def pooled_features(model: Qwen2_5Omni, pool: Pool) -> np.ndarray:
    """Mean-pooled tower outputs of every clip, (clips, width)."""
    rows = []
    for i in range(0, len(pool.clips), 64):
        chosen = pool.clips[i : i + 64]
        heard = model.listen(audio_batch(pool, chosen))
        rows += [part.mean(0) for part in heard.split(token_counts(model, chosen))]
    return torch.stack(rows).numpy()


def probe_scores(model: Qwen2_5Omni, train: Pool, test: Pool) -> dict[str, float]:
    """Accuracy of linear probes on mean-pooled outputs: fitted on training speakers, tested on speakers never heard (gender: adults)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    fitted = Pool(train.clips[:3000], train.mel)
    x, y = pooled_features(model, fitted), pooled_features(model, test)
    scaler = StandardScaler().fit(x)
    scores = {}
    for name in ATTRIBUTES:
        keep = [i for i, clip in enumerate(fitted.clips) if name != "gender" or clip.attributes["age"] == "adult"]
        held = [i for i, clip in enumerate(test.clips) if name != "gender" or clip.attributes["age"] == "adult"]
        probe = LogisticRegression(C=0.1, max_iter=2000).fit(scaler.transform(x[keep]), [fitted.clips[i].attributes[name] for i in keep])
        scores[f"tower_probe_{name}"] = float(probe.score(scaler.transform(y[held]), [test.clips[i].attributes[name] for i in held]))
    return scores


def main(model: Qwen2_5Omni, hearing: Hearing, queries: list[Query], pool: Pool, work: Path, seed: int, steps: int, batch: int) -> None:
    """Train tower and hearing; the language model is not touched."""
    both = nn.ModuleDict({"tower": model.module.model.audio_tower, "hearing": hearing})

    def loss(step: int) -> Tensor:
        words, voice, *_ = hear(model, hearing, queries, pool, clips.draw(pool, seed, step, batch))
        parts[:] = [words.item(), voice.item()]
        return words + voice

    parts: list[float] = []
    fit(both, loss, steps=steps, learning_rate=2e-3, name="tower", state=work / "tower.safetensors", parts=parts)
