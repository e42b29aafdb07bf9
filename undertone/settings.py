"""Every setting of every recipe: strict, frozen, read from --config FILE.toml and flags. This module imports no model code."""

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from undertone.attributes import ATTRIBUTES
from undertone.evaluation.controls import Name as Control
from undertone.lookup import suggest
from undertone.records import CONTENT, Split

Condition = Literal["clean", "snr20", "snr10", "snr5", "snr0", "telephone", "room"]
"""What a clip may be heard through: the names of `speech.augment.CONDITIONS`."""


class Settings(BaseModel):
    """Base: unknown names, wrong types and later changes are errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,  # what was typed may hold a key
        defer_build=True,  # one command needs one recipe's settings
    )


class Endpoint(Settings):
    """An OpenAI-compatible HTTP endpoint. The key is read from the environment and never written anywhere."""

    model: str = ""
    """model name at the endpoint"""
    base_url: str | None = None
    """address up to /v1; empty: OPENAI_BASE_URL or OpenAI's own"""
    key_variable: str = "OPENAI_API_KEY"
    """environment variable that holds the key"""
    concurrency: int = Field(8, ge=1)
    """requests under way at once"""
    attempts: int = Field(6, ge=1)
    """tries per request on 429, 5xx and time-outs, with exponential back-off"""
    timeout: float = Field(60.0, gt=0)
    """seconds before a request counts as lost"""
    max_tokens_spent: int = Field(2_000_000, ge=0)
    """tokens after which no further request is sent"""

    @field_validator("base_url")
    @classmethod
    def _no_login(cls, address: str | None) -> str | None:
        if address and "@" in urlsplit(address).netloc:
            raise ValueError("leave the login out of the address, settings are written to files; put the key into key_variable")
        return address


class Synthesize(Settings):
    """Write queries and replies, speak them in minimal pairs, keep what passes the filters."""

    out: Path = Path("data/grammar")
    """the data folder (Hugging Face audiofolder: metadata.jsonl + FLAC)"""
    writer: str = "grammar"
    """who writes queries and replies: grammar, openai, or my_package.my_module:Writer"""
    synthesiser: str = "espeak"
    """who speaks: espeak, openai_tts, command, or my_package.my_module:Synthesiser"""
    train: dict[str, int] = {"age": 900, "gender": 900, "emotion": 1500, "content": 400}
    """clips to fine-tune on, per category; pairs count as two; content: attribute-free queries"""
    dev: dict[str, int] = {"age": 60, "gender": 60, "emotion": 120, "content": 60}
    """clips that pick the checkpoint, per category"""
    test: dict[str, int] = {"age": 420, "gender": 420, "emotion": 1200, "content": 1000}
    """clips that are scored, per category"""
    safety_speakers: int = Field(3, ge=0)
    """speakers that ask each of the 70 child-safety questions, in a child's and in an adult's voice"""
    speakers: int = Field(40, ge=1)
    """simulated speakers of each split; no speaker stands in two"""
    topics: list[str] = []
    """topics that are written about; openai: CATEGORY: NAME, such as "age: kitchen" or "safety: fire"; grammar: its own, empty: all"""
    queries_per_topic: int = Field(60, ge=1)
    """queries that the openai writer writes on each topic"""
    endpoint: Endpoint = Endpoint()
    """where the openai writer writes"""
    speech_endpoint: Endpoint = Endpoint()
    """where openai_tts speaks"""
    voices: dict[str, list[str]] = {}
    """voice names of openai_tts: gender = [names]; empty: OpenAI's own"""
    command: str = "flite -voice {gender} -t {text} -o {out}"
    """the command synthesiser's program; {text} and {out} are filled in, and {age}, {gender}, {emotion}, {speaker} where they stand"""
    command_words: dict[str, str] = {"male": "rms", "female": "slt"}
    """what the command calls a value: value = word"""
    command_renders: dict[str, list[str]] = {"age": ["adult"], "gender": ["male", "female"], "emotion": ["neutral"]}
    """attribute values that the command makes audible: attribute = [values]"""
    workers: int = Field(0, ge=0)
    """worker processes, 0: one a core; with openai_tts and command threads, 0: speech_endpoint.concurrency, or 8"""
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


class Model(Settings):
    """Which model, and how it is asked."""

    model: str = "undertone-tiny"
    """embedded undertone-tiny, a local folder, or a hub name such as Qwen/Qwen2.5-Omni-7B"""
    family: str = ""
    """model family; empty: read from the checkpoint's config"""
    device: str = ""
    """cpu, cuda, cuda:1 …; empty: a GPU where there is one"""
    dtype: Literal["", "float32", "bfloat16", "float16"] = ""
    """weights in memory; empty: bfloat16 where the GPU or CPU is faster with it, float32 elsewhere"""
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
    columns: dict[str, str] = {}
    """of one's own data: field = column, e.g. audio = wav, age = age_group"""
    values: dict[str, dict[str, str]] = {**{name: {} for name in ATTRIBUTES}, "split": {}}
    """of one's own data, per field: what cells say = what we call it, e.g. gender: F = female"""
    disjoint: list[Literal["speaker", "text", "topic"]] = ["speaker"]
    """what the splits of one's own data must keep apart; give none to allow it"""
    features: Path | None = None
    """folder in which the tower's outputs are kept, once per clip; empty: .features beside the clips"""
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
    splits: list[Literal["train", "dev", "test"]] = ["train"]
    """splits whose clips are analysed"""
    limit: int = Field(1200, ge=0)
    """clips at most, whole pairs; 0: all"""
    analyses: list[str] = ["probe", "intent", "similarity", "logit-lens", "patching"]
    """what is analysed: names of the table, or my_package.my_module:analysis; the layer ranges need all but probe and patching"""
    folds: int = Field(5, ge=2)
    """folds of the probes, speakers kept apart"""
    patch_pairs: int = Field(64, ge=0)
    """minimal pairs per category whose activations are patched"""
    bootstrap: int = Field(1000, ge=0)
    """resamples of every interval"""
    seed: int = 0
    """draws folds, resamples and the sample of clips"""


def _trainable(dtype: str) -> str:
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
    targets: list[str] = ["q_proj", "v_proj"]
    """last names of the linear modules to adapt inside the chosen layers"""


class Adch(Settings):
    """The auxiliary dual-level classification head, METHOD A.3."""

    weight: float = Field(0.5, ge=0)
    """λ in loss = SFT + λ (CE_category + CE_attribute); 0: no head"""
    layer: int | None = None
    """language-model layer whose output it reads; empty: the last adapted one"""


class Finetune(Model):
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
    steps: int = Field(0, ge=0)
    """optimiser steps; 0: `epochs` passes over the training split"""
    epochs: float = Field(10.0, gt=0)
    """passes over the training split where steps is 0"""
    batch_size: int = Field(32, ge=1)
    """clips per optimiser step, over all processes"""
    accumulate: int = Field(1, ge=1)
    """parts into which a batch is cut to save memory"""
    learning_rate: float = Field(2e-3, gt=0)
    """peak of the cosine schedule"""
    warmup: float = Field(0.05, ge=0, lt=1)
    """share of the steps that warm up"""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's"""
    clip: float = Field(1.0, gt=0)
    """gradient norm at most"""
    replay: float = Field(0.15, ge=0, lt=1)
    """share of a batch drawn from attribute-free queries"""
    mixture: dict[str, float] = {}
    """weight per category of the rest, e.g. emotion = 2; unnamed: 1"""
    check_every: int = Field(100, ge=1)
    """steps between dev losses and checkpoints; the best on dev is kept"""
    seed: int = 0
    """draws batches and adapter weights"""

    @field_validator("dtype")
    @classmethod
    def _no_float16(cls, dtype: str) -> str:
        return _trainable(dtype)


class Objectives(Settings):
    """What `align` minimises: the weight of each objective, METHOD B.3."""

    cross_entropy: float = Field(1.0, ge=0)
    """on the frozen model's own replies"""
    distillation: float = Field(0.0, ge=0)
    """KL to the frozen model's distribution over its best candidates"""
    temperature: float = Field(2.0, gt=0)
    """softens both distributions of the KL"""
    candidates: int = Field(32, ge=1)
    """best candidates of each token that are kept"""
    contrast: float = Field(0.0, ge=0)
    """InfoNCE between the spoken and the typed, tagged prompt's representation"""
    ctc: float = Field(0.3, ge=0)
    """the words, from the speech encoder's states"""
    style: float = Field(0.3, ge=0)
    """auxiliary heads that name the voice's attributes from the mean token"""
    note: float = Field(0.0, ge=0)
    """the note's tokens against those of the written note, in the language model's embedding table"""


class Tasks(Settings):
    """The tasks of alignment, METHOD B.3, and how often each is asked."""

    reply: float = Field(0.5, ge=0)
    """the reply to the words (style stage: and to the speaker note)"""
    recognition: float = Field(0.2, ge=0)
    """the words"""
    captioning: float = Field(0.1, ge=0)
    """how the speaker sounds"""
    naming: float = Field(0.2, ge=0)
    """the value of one attribute"""
    noted: float = Field(0.2, ge=0)
    """semantic stage: the reply to the words beside a written note, so that the words are understood in its company, too"""


class Projector(Settings):
    """From the speech encoder to the language model, one token per 80 ms, METHOD B.2."""

    hidden: int = Field(192, ge=8)
    """width of its Transformer"""
    layers: int = Field(2, ge=1)
    """layers of its Transformer"""
    heads: int = Field(4, ge=1)
    """attention heads of each"""
    pooling: Literal["convolution", "attention"] = "convolution"
    """how states become tokens: strided convolution, or attention pooling"""
    dropout: float = Field(0.1, ge=0, lt=1)
    """dropout in its Transformer"""

    @model_validator(mode="after")
    def _even_heads(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden: {self.hidden} is no multiple of twice the {self.heads} heads, as rotary positions need")
        return self


class Align(Model):
    """Teach a speech encoder what a frozen language model needs to answer speech as it answers words and a speaker note."""

    out: Path = Path("runs/align")
    """run folder; the model lands in OUT/model"""
    name: str = "aligned"
    """what this method is called in every score"""
    model: str = ""
    """model to go on from, such as the semantic stage's OUT/model; empty: a fresh projector between encoder and language_model"""
    language_model: str = "undertone-tiny-lm"
    """the frozen language model: undertone-tiny-lm, a folder, or a hub name such as meta-llama/Meta-Llama-3-8B-Instruct"""
    encoder: str = "conformer"
    """the speech encoder: conformer (small, untrained), a folder, or a hub name such as openai/whisper-large-v3"""
    projector: Projector = Projector()
    """the projector"""
    stage: Literal["semantic", "style"] = "style"
    """semantic: recognition, replies to the plain words and beside a written note; style: replies to the voice, and what version adds"""
    version: Literal["v1", "v2", "v3"] = "v3"
    """tasks of the style stage: v1 reply and recognition, v2 and captioning, v3 and naming of attributes"""
    tasks: Tasks = Tasks()
    """share of each task in what is asked, of those that stage and version have"""
    attributes: list[str] = []
    """attributes that notes, captions and names speak of; empty: all that the clips have"""
    untagged: bool = False
    """baseline: in the style stage, too, the teacher reads the words without the note"""
    shuffled: bool = False
    """control: every clip has another clip's attributes"""
    wrong_notes: float = Field(0.0, ge=0, le=1)
    """share of the clips whose attributes are all said wrong"""
    objectives: Objectives = Objectives()
    """what is minimised"""
    recognition: str = "repeat the words"
    """system prompt of the recognition task"""
    captioning: str = "how does the speaker sound"
    """system prompt of the captioning task"""
    max_new_tokens: int = Field(32, ge=1)
    """the teacher's longest reply, in tokens"""
    teacher: Path | None = None
    """folder in which the teacher's replies are kept, once a text and note; empty: .teacher beside the clips"""
    prosody: bool = False
    """also give the encoder (the embedded conformer) pitch, energy and spectrum of the whole clip as numbers"""
    note_tokens: int = Field(0, ge=0)
    """tokens made of the whole clip that stand before those of the words, as a written note would; 0: none, or as many as the model has"""
    trains: Literal["front", "projector", "note"] = "front"
    """what learns: encoder and projector, the projector, or only the note's tokens (and what gives the encoder the prosody)"""
    augment: float = Field(0.0, ge=0, le=1)
    """share of the training clips that are heard through noise, a room, at another speed …"""
    steps: int = Field(0, ge=0)
    """optimiser steps; 0: `epochs` passes over the training split"""
    epochs: float = Field(10.0, gt=0)
    """passes over the training split where steps is 0"""
    batch_size: int = Field(32, ge=1)
    """clips per optimiser step, over all processes"""
    accumulate: int = Field(1, ge=1)
    """parts into which a batch is cut to save memory"""
    learning_rate: float = Field(1e-3, gt=0)
    """peak of the cosine schedule"""
    warmup: float = Field(0.05, ge=0, lt=1)
    """share of the steps that warm up"""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's"""
    clip: float = Field(1.0, gt=0)
    """gradient norm at most"""
    replay: float = Field(0.2, ge=0, lt=1)
    """share of a batch drawn from attribute-free queries, where there are any"""
    check_every: int = Field(200, ge=1)
    """steps between dev losses and checkpoints; the best on dev is kept"""
    seed: int = 0
    """draws weights, batches and tasks"""

    @field_validator("dtype")
    @classmethod
    def _no_float16(cls, dtype: str) -> str:
        return _trainable(dtype)


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
    suites: list[Literal["pa", "child-safety", "content"]] = ["pa", "child-safety", "content"]
    """which utterances are asked"""
    judge: str = "rule"
    """rule (exact, grammar replies), openai, empathy (1 to 10, by a chat model), or my_package.my_module:Judge"""
    endpoint: Endpoint = Endpoint()
    """where the openai judge sits"""
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
    metrics: list[str] = ["pa", "preference", "exact"]
    """what is scored: pa (from verdicts), preference (judge-free), exact, rouge, empathy (from ratings), or my_package.my_module:metric"""
    together: str = ""
    """suite under which all pairs of the suite pa are scored together as well"""
    max_new_tokens: int = Field(24, ge=1)
    """longest reply, in tokens"""
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
        return self


class Recognize(Model):
    """Ask the model what it hears in a voice: prompted recognition of an attribute, with UA and WA; and a probe, and the words."""

    out: Path = Path("runs/recognize")
    """run folder"""
    adapter: Path | None = None
    """folder of a PEFT adapter to put on the model"""
    name: str = ""
    """what this run is called in every score; empty: vanilla, or tuned where there is an adapter"""
    split: Literal["train", "dev", "test"] = "test"
    """split that is asked"""
    attribute: str = "emotion"
    """what is asked: age, gender, emotion"""
    among: list[str] = []
    """values that are asked about and answered with; empty: all that the clips have"""
    suite: str = ""
    """suite of the scores; empty: recognition/ATTRIBUTE"""
    by: Literal["likelihood", "reply", "head"] = "likelihood"
    """how the answer is read: the likeliest value, the reply in words, or the auxiliary heads of `align`, without the language model"""
    condition: Condition = "clean"
    """what the clips are heard through"""
    typed: bool = False
    """control: the words are typed, nothing is heard"""
    words: bool = False
    """also have the words repeated, and count word errors"""
    probe: bool = False
    """also fit linear probes on the clips' mean token, each speaker held out in turn: the attribute; pitch, energy and rate (R²)"""
    consistency: bool = False
    """also compare with the reply to the typed words and the true note: ROUGE-L, KL per token, nearness of the representations"""
    teacher: Path | None = None
    """folder in which replies to typed words are kept; empty: .teacher beside the clips"""
    recognition: str = "repeat the words"
    """system prompt that asks for the words"""
    against: Path | None = None
    """run folder of an earlier recognition of the same clips: also score the difference in UA, in pairs"""
    limit: int = Field(0, ge=0)
    """utterances at most; 0: all"""
    bootstrap: int = Field(1000, ge=0)
    """resamples of every interval, clustered by speaker"""
    seed: int = 0
    """draws resamples and what `limit` leaves"""

    @model_validator(mode="after")
    def _known_values(self) -> Self:
        if self.typed and (self.consistency or self.probe or self.by == "head"):
            raise ValueError("typed words are not heard; leave consistency, probe and by out")
        if self.attribute not in ATTRIBUTES:
            raise ValueError(f"attribute: unknown {self.attribute!r}{suggest(self.attribute, ATTRIBUTES)}; known: {', '.join(ATTRIBUTES)}")
        for value in self.among:
            ATTRIBUTES[self.attribute].value(value)
        return self


class Ask(Model):
    """One clip: the reply before and after."""

    clip: str = ""
    """sound file"""
    adapter: Path | None = None
    """folder of a PEFT adapter: also print the reply with it"""
    max_new_tokens: int = Field(64, ge=1)
    """longest reply, in tokens"""


class Report(Settings):
    """One self-contained HTML page from run folders."""

    runs: list[Path] = Field([Path("runs/demo")], min_length=1)
    """folders of evaluate, analyze, finetune or demo; what lies in them is shown side by side"""
    out: Path | None = None
    """the page; empty: report.html in the folder, or in the nearest one that holds them all"""
    title: str = "How the model hears its speakers"
    """headline"""


class Demo(Settings):
    """The whole corridor on the embedded model: synthesise, analyse, fine-tune or align, evaluate, report."""

    out: Path | None = None
    """run folder; empty: runs/demo, or runs/demo-frozen"""
    road: Literal["pe-ft", "frozen"] = "pe-ft"
    """pe-ft: fine-tune the layers that carry the voice; frozen: teach only a speech encoder, before a frozen language model"""
    size: Literal["small", "default", "full"] = "default"
    """small: under 3 minutes; full: adds selective, random-layers and three seeds"""
    seed: int = 0
    """seed of everything"""


S = TypeVar("S", bound=Settings)


class BadSetting(ValueError):
    """A settings file or flag that does not fit; the message names the setting and the nearest known one."""


def read_config(kind: type[S], path: Path) -> S:
    """`kind` from a TOML file of differences from the defaults."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadSetting(f"{path}: no such settings file") from None
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8, numbers of thousands of digits, endless nesting
        raise BadSetting(f"{path}: not TOML ({error})") from None
    return build(kind, table, str(path))


def build(kind: type[S], table: dict[str, Any], where: str) -> S:
    """`kind` from a plain table; `BadSetting` begins with `where`."""
    try:
        return kind.model_validate_json(_json(table))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise BadSetting(f"{where}: unknown setting {name!r}; closest known: {closest(name, known(kind))}") from None
        raise BadSetting(": ".join(filter(None, (where, name, first["msg"].removeprefix("Value error, "))))) from None


def _json(table: dict[str, Any]) -> str:
    return json.dumps(table, default=str)


def known(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all settings of `kind`."""
    names = []
    for name, field in kind.model_fields.items():
        names.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += known(field.annotation, f"{prefix}{name}.")
    return names


def flags(default: Any, prefix: str = "") -> list[str]:
    """Dotted names that are flags beside `default`: of nested settings, and of tables that hold something, what they hold."""
    names: list[str] = []
    for name, value in default.items() if isinstance(default, dict) else default:
        inside = isinstance(value, BaseModel) or (isinstance(value, dict) and value)
        names += flags(value, f"{prefix}{name}.") if inside else [prefix + name]
    return names


def closest(name: str, names: list[str], mark: str = "") -> str:
    """The one of `names` that is spelt most like `name`, first of all in its own table; "none" where none is near."""
    table = [one for one in names if one.partition(".")[0] == name.partition(".")[0]]
    lost = [one for one in names if one.rpartition(".")[2] == name]
    close = get_close_matches(name, table or lost or names, n=1, cutoff=0.3)
    return mark + close[0] if close else "none"


def to_toml(settings: Settings, only_changed: bool = False) -> str:
    """The resolved settings as TOML that `--config` reads back; unset ones are left out, and on demand those that are as by default."""
    import tomli_w

    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True, exclude_defaults=only_changed))
