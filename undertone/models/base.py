"""The contract of a model family, and the few things that are the same for all: padding, splicing audio in, scoring, generating."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.logits import cross_entropy, summed_cross_entropy
from undertone.models.packing import Packing, attending_within

IGNORED = -100
"""Label of positions that carry no loss, as everywhere in Transformers."""

_UNWRITTEN = -1
"""What stands behind the end of a reply."""

Component = Literal["audio_tower", "projector", "language_model"]


class LayerRef(NamedTuple):
    """A layer by what it is, not by a path that changes between releases. `str(ref)` is "language_model.12"."""

    component: Component
    index: int  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.component}.{self.index}"


class Prompt(NamedTuple):
    """One question to a model: a speaker note, then audio, then text, each where given, under a system prompt.

    `audio` is a mono wave at the model's rate, the (frames, bins) that its front end made of one, or (tokens, width), as a tensor, what its
    tower made of them before.
    """

    text: str = ""
    audio: NDArray[np.float32] | Tensor | None = None
    system: str = ""
    note: str = ""


@dataclass(frozen=True)
class Batch:
    """Left-padded prompts (and replies), ready for the model.

    `input_ids`, `attention_mask`, `labels`: (batch, token); labels are `IGNORED` outside replies. Audio is either `frames`
    (all clips' log-mel frames in a row, with `frame_lengths`) or `heard` (all clips' audio embeddings in a row).

    `packing` is there where all prompts stand in one row, (1, token), without padding.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    frames: Tensor | None = None
    frame_lengths: Tensor | None = None
    heard: Tensor | None = None
    packing: Packing | None = None

    def packed(self) -> Self:
        """The same prompts in one row."""
        real = self.attention_mask.bool()
        packing = Packing.of(real)
        fill = (0, len(packing.back) - int(real.sum()))
        ids, mask, labels = (
            nn.functional.pad(one[real], fill, value=nothing)[None]
            for one, nothing in ((self.input_ids, 0), (self.attention_mask, 0), (self.labels, IGNORED))
        )
        return replace(self, input_ids=ids, attention_mask=mask, labels=labels, packing=packing)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on `device`."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if value is not None})

    @property
    def position_ids(self) -> Tensor:
        """Positions that do not count padding, (batch, token)."""
        if self.packing is not None:
            return self.packing.position
        return (self.attention_mask.cumsum(-1) - 1).clamp(min=0)


class Asked(NamedTuple):
    """Prompts that were read: hidden state behind the last token (batch, width), key-value cache, attention mask (batch, token)."""

    last: Tensor
    cache: Any
    mask: Tensor

    def only(self, rows: Tensor) -> "Asked":
        """Of the prompts those at `rows`; the cache forgets the others."""
        self.cache.batch_select_indices(rows)
        return Asked(self.last[rows], self.cache, self.mask[rows])


def labelled(hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Of `hidden` (batch, token, width) those behind which a labelled token stands, (position, width), and these tokens (position,)."""
    targets = batch.labels[:, 1:]
    where = targets != IGNORED
    return hidden[:, :-1][where], targets[where]


class SpeechLM(ABC):
    """An audio language model: audio tower → projector → language model, addressed by `LayerRef`.

    `module` is the Transformers (or our own) model, unmodified; `tokenizer` its tokenizer with a chat template. `model_types` is what
    config.json says of checkpoints that this family reads; empty: it is only chosen by name.
    """

    family: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    checkpoints: ClassVar[tuple[str, ...]] = ()
    """Published checkpoints that this family is written for, by their names on the hub."""
    packs: ClassVar[bool] = True
    """Whether packed rows equal single clips; where not, batches are padded and their parts hold clips of like length."""
    targets: ClassVar[tuple[str, ...]] = ("q_proj", "v_proj")
    """The linear modules that carry what METHOD A.3 adapts."""
    unused: ClassVar[tuple[str, ...]] = ()
    """Parts of `module` that are loaded and never asked, and stay on the CPU."""
    module: nn.Module
    tokenizer: Any
    sample_rate: int

    @classmethod
    @abstractmethod
    def load(cls, checkpoint: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """Open a local folder or a hub name."""

    @classmethod
    @abstractmethod
    def tiny(cls, seed: int = 0) -> Self:
        """The family's own configuration class at toy size with random weights; nothing is downloaded."""

    @classmethod
    def configuration(cls, checkpoint: str | Path) -> Any:
        """The configuration of `module` in a checkpoint; ValueError for a family whose configuration alone does not make a model."""
        raise ValueError(f"estimate: family {cls.family} is no class of Transformers; run a few steps of it instead (--steps 3)")

    @abstractmethod
    def blocks(self) -> Mapping[LayerRef, nn.Module]:
        """Every layer of tower, projector and language model, in the order in which they fire."""

    @abstractmethod
    def linears(self, layer: LayerRef) -> Sequence[str]:
        """Full module paths inside `layer` that LoRA may adapt."""

    def experts(self, layer: LayerRef) -> Sequence[str]:
        """Full names of weights inside `layer` that belong to no linear module, (expert, out, in), and that LoRA may adapt."""
        return ()

    @abstractmethod
    def frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """The front end: wave → (frames, bins)."""

    @property
    def seconds_at_most(self) -> float:
        """The longest clip that the tower hears."""
        return math.inf

    @abstractmethod
    def token_count(self, frames: int) -> int:
        """How many audio embeddings a clip of `frames` becomes."""

    @abstractmethod
    def listen(self, batch: Batch) -> Tensor:
        """Audio tower and projector over the batch's frames → (audio tokens of all clips in a row, width) on `device`."""

    @abstractmethod
    def frozen_front(self) -> nn.Module:
        """Audio tower and projector, which nothing here ever trains."""

    @property
    def forgettable(self) -> nn.Module:
        """What of the front nobody needs once all clips were listened to."""
        return self.frozen_front()

    def forget_front(self) -> None:
        """Give the front's memory on the GPU back, once all clips were listened to; `listen` works on, at the CPU's pace."""
        self.forgettable.to("cpu")

    def stored_names(self, stored: Sequence[str]) -> Mapping[str, str]:
        """Name of a parameter in `module` → name of the tensor that holds it in a checkpoint with the tensors `stored`. A family that loads
        its weights without Transformers says so itself."""
        from undertone.models.files import module_names

        return module_names(self.module, stored)

    @property
    @abstractmethod
    def text_model(self) -> nn.Module:
        """The decoder stack: `inputs_embeds` → `last_hidden_state`."""

    @property
    @abstractmethod
    def audio_token_id(self) -> int:
        """The token that stands where an audio embedding goes."""

    @property
    def lm_head(self) -> nn.Module:
        """Hidden states → logits."""
        return self.module.get_output_embeddings()  # type: ignore[operator,no-any-return]

    @property
    def device(self) -> torch.device:
        """Where the language model's weights lie."""
        return self.module.get_input_embeddings().weight.device  # type: ignore[operator,no-any-return]

    @property
    def dtype(self) -> torch.dtype:
        """What the language model's weights are in."""
        return self.module.get_input_embeddings().weight.dtype  # type: ignore[operator,no-any-return]

    @property
    def layers(self) -> int:
        """Number of language-model layers."""
        return sum(ref.component == "language_model" for ref in self.blocks())

    # --- prompts to batches ---------------------------------------------------------------------------------------------------

    def encode(self, prompts: Sequence[Prompt], replies: Sequence[str | list[int]] | None = None, close: bool = True) -> Batch:
        """Prompts, followed by `replies` (text or token ids) where given, as one left-padded batch; only reply tokens and the end token are
        labelled.

        `close=False` leaves the end token off: the reply is only begun.
        """
        rows, frames, heard = [], [], []
        for i, prompt in enumerate(prompts):
            count = 0
            if isinstance(prompt.audio, Tensor):
                heard.append(prompt.audio)
                count = len(prompt.audio)
            elif prompt.audio is not None:
                frames.append(torch.from_numpy(prompt.audio if prompt.audio.ndim == 2 else self.frames(prompt.audio)))
                count = self.token_count(len(frames[-1]))
            asked = self.prompt_ids(prompt, count)
            answer = [*self.reply_ids(replies[i]), *[self.end_token_id] * close] if replies is not None else []
            rows.append((asked, answer))
        if frames and heard:
            raise ValueError("one batch mixes waves and cached audio embeddings: encode them apart")
        return self.left_padded(rows, frames, heard)

    def left_padded(self, rows: Sequence[tuple[list[int], list[int]]], frames: list[Tensor], heard: list[Tensor]) -> Batch:
        """Rows of what is asked and what is answered as one batch, with the clips' frames, or what was heard of them, in a row."""
        width = max(len(asked) + len(answer) for asked, answer in rows)
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for i, (asked, answer) in enumerate(rows):
            start = width - len(asked) - len(answer)
            ids[i, start:] = torch.tensor(asked + answer)
            mask[i, start:] = 1
            labels[i, width - len(answer) :] = torch.tensor(answer, dtype=torch.long)
        return Batch(
            ids,
            mask,
            labels,
            torch.cat(frames) if frames else None,
            torch.tensor([len(clip) for clip in frames]) if frames else None,
            torch.cat(heard) if heard else None,
        ).to(self.device)

    def reply_ids(self, reply: str | list[int]) -> list[int]:
        """Token ids of a reply, without the end token."""
        return reply if isinstance(reply, list) else list(self.tokenizer.encode(reply, add_special_tokens=False))

    def prompt_ids(self, prompt: Prompt, audio_tokens: int) -> list[int]:
        """Token ids of the chat up to where the reply begins, the audio token repeated `audio_tokens` times."""
        parts: list[dict[str, str]] = [{"type": "text", "text": f"{prompt.note} "}] if prompt.note else []
        parts += [{"type": "audio"}] if audio_tokens else []
        parts += [{"type": "text", "text": prompt.text}] if prompt.text else []
        chat: list[dict[str, Any]] = [{"role": "system", "content": prompt.system}] if prompt.system else []
        chat.append({"role": "user", "content": parts})
        ids = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        at = ids.index(self.audio_token_id) if audio_tokens else 0
        return [*ids[:at], *[self.audio_token_id] * audio_tokens, *ids[at + bool(audio_tokens) :]]

    def audio_mask(self, batch: Batch) -> Tensor:
        """Bool (batch, token): where the audio embeddings stand."""
        return batch.input_ids == self.audio_token_id

    # --- forward --------------------------------------------------------------------------------------------------------------

    def embed(self, batch: Batch) -> Tensor:
        """Input embeddings (batch, token, width), audio spliced in."""
        mask = self.audio_mask(batch)
        # A family may mark audio by an id that its table has no row for.
        embeddings: Tensor = self.module.get_input_embeddings()(batch.input_ids.masked_fill(mask, 0))  # type: ignore[operator]
        if batch.heard is None and batch.frames is None:
            return embeddings
        heard = batch.heard if batch.heard is not None else self.listen(batch)
        if int(mask.sum()) != len(heard):
            raise ValueError(f"{int(mask.sum())} audio tokens in the prompts but {len(heard)} audio embeddings")
        return embeddings.masked_scatter(mask[..., None], heard.to(embeddings.dtype))

    def hidden(self, batch: Batch) -> Tensor:
        """Last hidden states after the final norm, (batch, token, width)."""
        how: dict[str, Any] = {"inputs_embeds": self.embed(batch), "position_ids": batch.position_ids, "use_cache": False}
        if batch.packing is None:
            return self.text_model(**how, attention_mask=batch.attention_mask).last_hidden_state  # type: ignore[no-any-return]
        with attending_within(self.text_model):
            return self.text_model(**how, packing=batch.packing).last_hidden_state  # type: ignore[no-any-return]

    def token_losses(self, batch: Batch) -> Tensor:
        """Cross-entropy of every labelled token, in row order; logits are computed at labelled positions only."""
        return self.losses_at(self.hidden(batch), batch)

    def losses_at(self, hidden: Tensor, batch: Batch) -> Tensor:
        """As `token_losses`, from hidden states at hand."""
        return cross_entropy(*labelled(hidden, batch), self.lm_head)

    def summed_loss(self, batch: Batch) -> Tensor:
        """The sum of `token_losses`, which is all that training needs."""
        return summed_cross_entropy(*labelled(self.hidden(batch), batch), self.lm_head)

    # --- answering ------------------------------------------------------------------------------------------------------------

    def prefill(self, batch: Batch) -> Asked:
        """Read the prompts once; what they leave behind serves greedy replies and the likelihood of given ones."""
        from undertone.models.cache import roomy_cache

        how: dict[str, Any] = {"attention_mask": batch.attention_mask, "past_key_values": roomy_cache(self.text_model.config)}
        out = self.text_model(inputs_embeds=self.embed(batch), position_ids=batch.position_ids, use_cache=True, **how)
        return Asked(out.last_hidden_state[:, -1], out.past_key_values, batch.attention_mask)

    def go_on(self, asked: Asked, ids: Tensor, written: int) -> Tensor:
        """Hidden states (batch, token, width) of `ids` behind the prompts and `written` tokens of a reply; the cache grows."""
        lengths = asked.mask.sum(-1, keepdim=True)
        mask = torch.cat([asked.mask, asked.mask.new_ones(len(ids), written + ids.shape[1])], dim=1)
        positions = lengths + written + torch.arange(ids.shape[1], device=ids.device)
        embeddings = self.module.get_input_embeddings()(ids)  # type: ignore[operator]
        out = self.text_model(
            inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, past_key_values=asked.cache, use_cache=True
        )
        return out.last_hidden_state  # type: ignore[no-any-return]

    @torch.inference_mode()
    def greedy(self, asked: Asked, max_new_tokens: int) -> list[str]:
        """The most probable reply to each prompt, token by token, until every one has ended."""
        return self.words(self.greedy_ids(asked, max_new_tokens))

    def words(self, replies: Sequence[list[int]]) -> list[str]:
        """Token ids in words."""
        return [text.strip() for text in self.tokenizer.batch_decode(replies, skip_special_tokens=True)]

    @torch.inference_mode()
    def greedy_ids(self, asked: Asked, max_new_tokens: int) -> list[list[int]]:
        """As `greedy`, as token ids: up to and with the end token, where one was reached. Uses the cache up: once half of the replies have
        ended, their rows leave the batch."""
        ends = torch.tensor(self.end_tokens, device=self.device)
        token = self.lm_head(asked.last).argmax(-1)
        replies = torch.arange(len(token), device=self.device)  # which of them each row writes
        made = torch.full((len(token), max_new_tokens), _UNWRITTEN, device=self.device)
        made[:, 0], goes_on, written = token, ~torch.isin(token, ends), 1
        while written < max_new_tokens and (left := int(goes_on.sum())):
            if 2 * left <= len(token):
                rows = goes_on.nonzero()[:, 0]
                asked, replies, token, goes_on = asked.only(rows), replies[rows], token[rows], goes_on[rows]
            hidden = self.go_on(asked, token[:, None], written - 1)
            token = self.lm_head(hidden[:, -1]).argmax(-1)
            made[replies, written] = torch.where(goes_on, token, _UNWRITTEN)
            goes_on &= ~torch.isin(token, ends)
            written += 1
        return [row[row != _UNWRITTEN].tolist() for row in made.cpu()]

    @torch.inference_mode()
    def log_likelihoods(self, asked: Asked, replies: Sequence[str]) -> Tensor:
        """(prompt,) log p(reply | prompt), the end token included. The cache is left as it was."""
        rows = [torch.tensor([*self.reply_ids(reply), self.end_token_id]) for reply in replies]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.tokenizer.pad_token_id).to(self.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        hidden = torch.cat([asked.last[:, None], self.go_on(asked, ids, 0)[:, :-1]], dim=1)
        asked.cache.crop(-ids.shape[1])
        real = torch.arange(ids.shape[1], device=self.device) < lengths[:, None]
        losses = torch.zeros(real.shape, device=self.device)
        losses[real] = cross_entropy(hidden[real], ids[real], self.lm_head)
        return -losses.sum(-1)

    @property
    def end_token_id(self) -> int:
        """The token that ends a reply in training."""
        return int(self.tokenizer.eos_token_id)

    @property
    def end_tokens(self) -> list[int]:
        """Tokens that end a reply."""
        ends = getattr(self.module, "generation_config", None) and self.module.generation_config.eos_token_id  # type: ignore[union-attr]
        listed = ends if isinstance(ends, list) else [ends] if ends is not None else []
        return sorted({*listed, self.end_token_id})

    def reply(self, prompts: Sequence[Prompt], max_new_tokens: int = 256) -> list[str]:
        """Greedy replies."""
        with torch.inference_mode():
            return self.greedy(self.prefill(self.encode(prompts)), max_new_tokens)
