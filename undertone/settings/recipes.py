"""The settings of every recipe but those of the frozen road."""

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from undertone.attributes import ATTRIBUTES
from undertone.evaluation.controls import Name as Control
from undertone.lookup import suggest
from undertone.records import CONTENT, Split
from undertone.settings.reading import Endpoint, Server, Settings


class Speaking(Settings):
    """Who speaks."""

    synthesiser: str = "espeak"
    """who speaks: espeak, openai_tts, command, or my_package.my_module:Synthesiser"""
    language: str = "en-us"
    """the language or accent that espeak speaks, by its own names: en-us, en-gb-scotland, de …"""
    speech_endpoint: Endpoint = Endpoint()
    """where openai_tts speaks"""
    voices: dict[str, list[str]] = Field({})
    """voice names of openai_tts: gender = [names]; empty: OpenAI's own"""
    command: str = "flite -voice {gender} -t {text} -o {out}"
    """the command synthesiser's program; {text} and {out} are filled in, and {age}, {gender}, {emotion}, {speaker} where they stand"""
    command_words: dict[str, str] = Field({"male": "rms", "female": "slt"})
    """what the command calls a value: value = word"""
    command_renders: dict[str, list[str]] = Field({"age": ["adult"], "gender": ["male", "female"], "emotion": ["neutral"]})
    """attribute values that the command makes audible: attribute = [values]"""
    workers: int = Field(0, ge=0)
    """worker processes, 0: one a core; with openai_tts and command threads, 0: speech_endpoint.concurrency, or 8"""


class Synthesize(Speaking):
    """Write queries and replies, speak them in minimal pairs, keep what passes the filters."""

    out: Path = Path("data/grammar")
    """the data folder (Hugging Face audiofolder: metadata.jsonl + FLAC)"""
    writer: str = "grammar"
    """who writes queries and replies: grammar, openai, or my_package.my_module:Writer"""
    train: dict[str, int] = Field({"age": 900, "gender": 900, "emotion": 1500, "content": 400})
    """clips to fine-tune on, per category; pairs count as two; content: attribute-free queries"""
    dev: dict[str, int] = Field({"age": 60, "gender": 60, "emotion": 120, "content": 60})
    """clips that pick the checkpoint, per category"""
    test: dict[str, int] = Field({"age": 420, "gender": 420, "emotion": 1200, "content": 1000})
    """clips that are scored, per category"""
    safety_speakers: int = Field(3, ge=0)
    """speakers that ask each of the 70 child-safety questions, in a child's and in an adult's voice"""
    speakers: int = Field(40, ge=1)
    """simulated speakers of each split; no speaker stands in two"""
    topics: list[str] = Field([])
    """topics that are written about; openai: CATEGORY: NAME, such as "age: kitchen" or "safety: fire"; grammar: its own, empty: all"""
    queries_per_topic: int = Field(60, ge=1)
    """queries that the openai writer writes on each topic"""
    endpoint: Endpoint = Endpoint()
    """where the openai writer writes"""
    strict: bool = False
    """treat the first rejected clip as an error"""
    seed: int = 0
    """draws texts, voices and speakers"""

    @model_validator(mode="after")
    def _enough_speakers(self) -> Self:
        if self.safety_speakers > self.speakers:
            raise ValueError(f"safety_speakers: {self.safety_speakers} of {self.speakers} speakers; raise speakers")
        return self

    @field_validator("train", "dev", "test")
    @classmethod
    def _categories(cls, clips: dict[str, int]) -> dict[str, int]:
        for category, count in clips.items():
            if category not in (*ATTRIBUTES, CONTENT):
                near = suggest(category, [*ATTRIBUTES, CONTENT])
                raise ValueError(f"unknown category {category!r}{near}; known: {', '.join(ATTRIBUTES)}, {CONTENT}")
            if count < 0:
                raise ValueError(f"{category}: {count} clips; none is the least")
        return clips


SERVED = "endpoint:"
"""What stands before the name of a model that is asked over HTTP."""


class Model(Settings):
    """Which model, and how it is asked."""

    model: str = "undertone-tiny"
    """embedded undertone-tiny, a local folder, a hub name such as Qwen/Qwen2.5-Omni-7B; evaluate also asks endpoint:NAME, over HTTP"""
    family: str = ""
    """model family; empty: read from the checkpoint's config"""
    device: str = ""
    """cpu, cuda, cuda:1 …; empty: a GPU where there is one"""
    dtype: Literal["", "float32", "bfloat16", "float16"] = ""
    """weights in memory; empty: bfloat16 where the GPU or CPU is faster with it, float32 elsewhere"""
    remote_code: bool = False
    """run code that lies in the checkpoint (family generic), which can do anything on this machine; else such a checkpoint is refused"""
    bits: Literal[0, 4, 8] = 0
    """of the language model's weights on a GPU, by bitsandbytes (undertone[quant]); 0: as dtype says"""
    system: str = ""
    """system prompt, recorded with every score"""
    batch: int = Field(64, ge=1)
    """clips per forward pass where nothing is trained"""
    data: Path = Path("data/grammar")
    """data folder, or data of one's own: messages + audios JSONL, CSV, Hugging Face audiofolder"""
    corpus: str = ""
    """who reads data: ravdess, crema_d, emodb, esd, savee, tess, iemocap, expresso, speechocean762, myst …; empty: by what lies there"""
    fold: int = Field(-1, ge=-1, le=3)
    """of a published corpus: which of four groups of its speakers is the test split, all others train; -1: its own split"""
    columns: dict[str, str] = Field({})
    """of one's own data: field = column, e.g. audio = wav, age = age_group"""
    values: dict[str, dict[str, str]] = Field({**{name: {} for name in ATTRIBUTES}, "split": {}})
    """of one's own data, per field: what cells say = what we call it, e.g. gender: F = female"""
    disjoint: list[Literal["speaker", "text", "topic"]] = Field(["speaker"])
    """what the splits of one's own data must keep apart; give none to allow it"""
    features: Path | None = None
    """folder in which the tower's outputs are kept, once per clip; empty: .features beside the clips"""
    features_gb: float = Field(100.0, ge=0)
    """GB that folder may take (6 s at 7 B are about 1 MB); clips beyond go through the tower whenever they are asked for"""
    workers: int | None = Field(None, ge=0)
    """threads that make the next clips' frames while the tower listens; empty: on a GPU one a core, eight at most, on a CPU, whose cores
    the tower needs, none"""
    per_speaker: bool = False
    """hear each clip relative to the mean of its speaker's clips; for encoders that were aligned with prosody"""
    strict: bool = False
    """treat the first clip that cannot be used as an error"""

    @field_validator("values")
    @classmethod
    def _ours(cls, values: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        known = {name: row.names for name, row in ATTRIBUTES.items()} | {"split": get_args(Split)}
        for field, cells in values.items():
            if field not in known:
                raise ValueError(f"unknown field {field!r}{suggest(field, known)}; known: {', '.join(known)}")
            for value in cells.values():
                if value not in known[field]:
                    raise ValueError(f"{field} has no value {value!r}; known: {', '.join(known[field])}")
        return {field: values.get(field, {}) for field in known}


class Analyze(Model):
    """Six layer-wise analyses in one pass, read together into layer ranges."""

    out: Path = Path("runs/analyze")
    """run folder"""
    adapter: Path | None = None
    """folder of a PEFT adapter to put on the model"""
    splits: list[Literal["train", "dev", "test"]] = Field(["train"])
    """splits whose clips are analysed"""
    limit: int = Field(1200, ge=0)
    """clips at most, whole pairs; 0: all"""
    analyses: list[str] = Field(["probe", "intent", "similarity", "logit-lens", "patching"])
    """what is analysed: names of the table, or my_package.my_module:analysis; the layer ranges need all but probe and patching"""
    folds: int = Field(5, ge=2)
    """folds of the probes, speakers kept apart"""
    patch_pairs: int = Field(64, ge=0)
    """minimal pairs per category whose activations are patched"""
    engine: Literal["packed", "plain"] = "packed"
    """packed: rows without padding, patched passes begin where they are patched; plain: padded and whole, the slow path that it equals"""
    bootstrap: int = Field(1000, ge=0)
    """resamples of every interval"""
    seed: int = 0
    """draws folds, resamples and the sample of clips"""


class Training(Model):
    """What every recipe that trains is set by; METHOD A.3 lists the numbers of one."""

    steps: int = Field(0, ge=0)
    """optimiser steps; 0: `epochs` passes over the training split"""
    epochs: float = Field(10.0, gt=0)
    """passes over the training split where steps is 0"""
    batch_size: int = Field(32, ge=1)
    """clips per optimiser step, over all processes"""
    accumulate: int = Field(1, ge=1)
    """parts into which a batch is cut to save memory"""
    max_tokens: int = Field(0, ge=0)
    """tokens of one forward pass at most, padding included: a batch is cut into as many parts as that takes, whatever `accumulate` says; 0:
    into `accumulate` parts"""
    warmup: float = Field(0.05, ge=0, lt=1)
    """share of the steps that warm up"""
    clip: float = Field(1.0, gt=0)
    """gradient norm at most"""
    engine: Literal["packed", "plain"] = "packed"
    """packed: the clips of a batch stand in one row without padding; plain: padded, the slow path that it equals"""

    @field_validator("dtype")
    @classmethod
    def _no_float16(cls, dtype: str) -> str:
        if dtype == "float16":
            raise ValueError("float16 loses small gradients, for no loss is scaled here; train in bfloat16 or float32")
        return dtype


class Lora(Settings):
    """LoRA (Hu et al. 2021), METHOD A.3."""

    rank: int = Field(16, ge=1)
    """rank r"""
    alpha: int = Field(32, ge=1)
    """scale is alpha / rank"""
    dropout: float = Field(0.05, ge=0, lt=1)
    """dropout before the down-projection"""
    targets: list[str] = Field(["q_proj", "v_proj"])
    """last names of the linear modules to adapt inside the chosen layers"""


class Adch(Settings):
    """The auxiliary dual-level classification head, METHOD A.3."""

    weight: float = Field(0.5, ge=0)
    """λ in loss = SFT + λ (CE_category + CE_attribute); 0: no head"""
    layer: int | None = None
    """language-model layer whose output it reads; empty: the last adapted one"""


class Dpo(Settings):
    """Preference tuning on the same pairs: the reply that suits the voice against the contrast's (Rafailov et al. 2023)."""

    weight: float = Field(0.0, ge=0)
    """of DPO in the loss, beside the replies and the head; 0: none"""
    beta: float = Field(0.1, gt=0)
    """how dear it is to move away from the model as it was"""


class Finetune(Training):
    """PE-FT: LoRA in the paralinguistic and semantic layers, with the auxiliary head; and its baselines."""

    out: Path = Path("runs/finetune")
    """run folder; the adapter lands in OUT/adapter"""
    name: str = "pe-ft"
    """what this method is called in every score; evaluate its adapter under the same name"""
    layers: str = "0-3"
    """language-model layers to adapt: "0-14", "0,2,5", "all", or "random:15" for as many at random"""
    lora: Lora = Lora()
    """the adapter"""
    adch: Adch = Adch()
    """the auxiliary head"""
    dpo: Dpo = Dpo()
    """preference tuning"""
    naming: str = ""
    """of data without replies, such as a published corpus: teach the model to name this attribute when it is asked for it"""
    learning_rate: float = Field(2e-3, gt=0)
    """peak of the cosine schedule"""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's"""
    replay: float = Field(0.15, ge=0, lt=1)
    """share of a batch drawn from attribute-free queries"""
    mixture: dict[str, float] = Field({})
    """weight per category of the rest, e.g. emotion = 2; unnamed: 1"""
    check_every: int = Field(100, ge=1)
    """steps between dev losses and checkpoints; the best on dev is kept"""
    recompute: bool = False
    """gradient checkpointing: the language model's layers are computed again in the backward pass; slower, in far less memory"""
    seed: int = 0
    """draws batches and adapter weights"""

    @model_validator(mode="after")
    def _known_question(self) -> Self:
        if self.naming and self.naming not in ATTRIBUTES:
            raise ValueError(f"naming: unknown {self.naming!r}{suggest(self.naming, ATTRIBUTES)}; known: {', '.join(ATTRIBUTES)}")
        if self.naming and self.system:
            raise ValueError("system: naming asks the attribute's own question; leave system out")
        return self


class Evaluate(Model):
    """Ask the model, judge its replies, score them with intervals and controls."""

    out: Path = Path("runs/evaluate")
    """run folder"""
    adapter: Path | None = None
    """folder of a PEFT adapter to put on the model"""
    name: str = ""
    """what this run is called in every score; empty: vanilla, cascade, or tuned where there is an adapter"""
    split: Literal["train", "dev", "test"] = "test"
    """split that is asked"""
    suites: list[Literal["pa", "child-safety", "content"]] = Field(["pa", "child-safety", "content"])
    """which utterances are asked"""
    suite: str = ""
    """a benchmark instead (README lists them): pa, child_safety, voicebench, sd_eval, conflict, ser, … or my_module:Suite"""
    subsets: list[str] = Field([])
    """of the suite voicebench: which are asked, NAME or NAME:SPLIT; empty: the nine of its overall score, SD-QA's split usa"""
    attribute: str = "emotion"
    """of the suites ser and leakage: what is asked"""
    judge: str = "rule"
    """rule (exact, grammar replies), openai, empathy (1 to 10, by a chat model), or my_package.my_module:Judge"""
    endpoint: Endpoint = Endpoint()
    """where the openai judge sits"""
    draws: int = Field(1, ge=1)
    """verdicts on each reply by a judge that asks a model: the mean of ratings, the majority of others counts"""
    verdicts: Path | None = None
    """folder in which verdicts that a model gives are kept, each once, and counted against the spend limit; empty: OUT. Runs that share it
    must not run at the same time"""
    second_judge: str = "rule"
    """of the suite judge-check: whose verdicts are compared"""
    second_endpoint: Endpoint = Endpoint()
    """where the second judge sits"""
    estimate_cost: bool = False
    """ask nothing; print how many verdicts the judges would be asked for, and about how many tokens that takes"""
    speaking: Speaking = Speaking()
    """who speaks our own items of the suites conflict and child_safety; values that it does not render are not asked about"""
    pedant: str = ""
    """of SD-QA: who gives the second score, my_module:function(reference, reply, question) -> bool; empty: it is unscored"""
    served: Server = Server()
    """where the model itself sits, if it is called endpoint:NAME: a server that takes input_audio, such as vLLM's"""
    cascade: bool = False
    """baseline: a classifier on the tower's output, fitted on the training split, writes the speaker note as text"""
    words: Literal["", "plain", "tagged"] = ""
    """baseline: the words are typed instead of heard, plain or with the true speaker note: the floor and the ceiling of the frozen road"""
    control: Literal["", Control] = ""
    """ask without audio, with the voices of every second pair or of every pair exchanged, or with the true note in words"""
    strength: float = Field(1.0, ge=0)
    """scale of the adapter: 0 vanilla, 1 as trained"""
    against: Path | None = None
    """run folder of an earlier evaluation of the same data: also score how many right replies were lost since, in pairs"""
    metrics: list[str] = Field(["pa", "preference", "exact"])
    """what is scored: pa (verdicts), preference (judge-free), exact, rouge, bert_score, empathy (ratings), my_package.my_module:metric"""
    bert_model: Path | None = None
    """folder of the model that bert_score reads replies with, such as roberta-large; without one replies have no bert_score"""
    together: str = ""
    """suite under which all pairs of the suite pa are scored together as well"""
    max_new_tokens: int = Field(24, ge=1)
    """longest reply, in tokens"""
    engine: Literal["batched", "plain"] = "batched"
    """batched: replies are written side by side; plain: one by one by Transformers' own generate, the slow path that it equals"""
    limit: int = Field(0, ge=0)
    """utterances at most of each suite and category, whole pairs; 0: all"""
    bootstrap: int = Field(1000, ge=0)
    """resamples of every interval, clustered by text"""
    seed: int = 0
    """draws resamples, shuffles and what `limit` leaves"""

    @model_validator(mode="after")
    def _one_thing_at_a_time(self) -> Self:
        if self.control and (self.cascade or self.against or self.words):
            raise ValueError("a control is asked by itself; leave cascade, words and against out")
        if self.words and self.cascade:
            raise ValueError("words are typed or heard by the cascade, not both; leave cascade or words out")
        if self.strength != 1 and self.adapter is None:
            raise ValueError("strength scales an adapter; name it with adapter")
        if self.suite and (self.cascade or self.against):
            raise ValueError("a suite is asked as it is; leave cascade and against out")
        if self.attribute not in ATTRIBUTES:
            raise ValueError(f"attribute: unknown {self.attribute!r}{suggest(self.attribute, ATTRIBUTES)}; known: {', '.join(ATTRIBUTES)}")
        if self.model.startswith(SERVED) and (self.adapter or self.cascade or self.per_speaker):
            raise ValueError(f"{self.model} is asked as it is served; leave adapter, cascade and per_speaker out (undertone export merges)")
        if self.model == SERVED:
            raise ValueError(f"model: name it as its server does, {SERVED}NAME")
        return self


class Ask(Model):
    """One clip: the reply before and after."""

    clip: str = ""
    """sound file"""
    adapter: Path | None = None
    """folder of a PEFT adapter: also print the reply with it"""
    max_new_tokens: int = Field(64, ge=1)
    """longest reply, in tokens"""
