"""The settings of the frozen road: align, and recognize, which asks models of either road."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from undertone.attributes import ATTRIBUTES
from undertone.lookup import suggest
from undertone.settings.reading import Settings
from undertone.settings.recipes import Model, Training

Condition = Literal["clean", "snr20", "snr10", "snr5", "snr0", "telephone", "room"]
"""What a clip may be heard through: the names of `speech.augment.CONDITIONS`."""


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
    masked: float = Field(1.0, ge=0)
    """acoustic stage: the log-mel spectrum of hidden spans, from the speech encoder's states"""
    contours: float = Field(1.0, ge=0)
    """acoustic stage: pitch, voicing, energy and formants, from the speech encoder's states"""


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


class Align(Training):
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
    stage: Literal["acoustic", "semantic", "style"] = "style"
    """acoustic: the encoder alone, on clips of which neither words nor speaker need be known; semantic: recognition, replies to the plain
    words and beside a written note; style: replies to the voice, and what version adds"""
    version: Literal["v1", "v2", "v3"] = "v3"
    """tasks of the style stage: v1 reply and recognition, v2 and captioning, v3 and naming of attributes"""
    tasks: Tasks = Tasks()
    """share of each task in what is asked, of those that stage and version have"""
    attributes: list[str] = Field([])
    """attributes that notes, captions and names speak of; empty: all that the clips have"""
    among: list[str] = Field([])
    """values whose voices are learnt from; clips of others are left out; empty: all"""
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
    note: Literal["made", "chosen"] = "made"
    """made: a small network writes the note's tokens; chosen: probes, fitted to the training clips, choose among tokens of each value (best
    with few recordings); what learns is then the tokens alone (trains = "note")"""
    trains: Literal["front", "projector", "note"] = "front"
    """what learns: encoder and projector, the projector, or only the note's tokens (and what gives the encoder the prosody)"""
    augment: float = Field(0.0, ge=0, le=1)
    """share of the training clips that are heard through noise, a room, at another speed …"""
    spec_augment: float = Field(0.0, ge=0, le=1)
    """share of the training clips of which stripes of time and pitch are hidden (Park et al. 2019)"""
    learning_rate: float = Field(1e-3, gt=0)
    """peak of the cosine schedule"""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's"""
    replay: float = Field(0.2, ge=0, lt=1)
    """share of a batch drawn from attribute-free queries, where there are any"""
    check_every: int = Field(200, ge=1)
    """steps between dev losses and checkpoints; the best on dev is kept"""
    seed: int = 0
    """draws weights, batches and tasks"""

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> Self:
        for name in ("system", "family", "features", "bits", "remote_code"):
            if getattr(self, name):
                raise ValueError(f"{name}: alignment has no use for it; leave it out")
        known = [value for row in ATTRIBUTES.values() for value in row.names]
        for value in self.among:
            if value not in known:
                raise ValueError(f"among: unknown {value!r}{suggest(value, known)}; known: {', '.join(known)}")
        if self.stage == "acoustic" and (self.trains != "front" or self.note == "chosen"):
            raise ValueError("trains: in the acoustic stage the encoder learns; leave trains and note out")
        if self.stage == "acoustic" and not (self.objectives.masked or self.objectives.contours):
            raise ValueError("objectives: the acoustic stage has masked and contours; set one of them above 0")
        if self.note == "chosen" and self.trains != "note":
            raise ValueError(f"trains: {self.trains} would move what a chosen note was fitted to; set trains to note, or note to made")
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
    among: list[str] = Field([])
    """values that are asked about and answered with; empty: all that the clips have"""
    suite: str = ""
    """suite of the scores; empty: recognition/ATTRIBUTE"""
    by: Literal["likelihood", "note", "reply", "head", "choice"] = "likelihood"
    """how the answer is read: the likeliest value, the likeliest caption, the reply in words, or, without the language model, the
    auxiliary heads of `align` or the probes of a chosen note"""
    condition: Condition = "clean"
    """what the clips are heard through"""
    typed: bool = False
    """control: the words are typed, nothing is heard"""
    cascade: bool = False
    """baseline: a classifier on the clips' tokens, fitted on the training split, heard through the same condition, writes the speaker note
    as text"""
    words: bool = False
    """also have the words repeated, and count word errors"""
    probe: bool = False
    """also fit linear probes on the clips' mean token, speakers held out: the attribute; pitch, energy and rate (R²)"""
    consistency: bool = False
    """also compare with the reply to the typed words and the true note: ROUGE-L, KL per token, nearness of the representations"""
    bert_model: Path | None = None
    """folder of the model, such as roberta-large, that also compares these replies by BERTScore; without one they are not"""
    leaning: bool = False
    """also: is the reply that suits the voice likelier than those that suit the attribute's other values, a judge-free empathy score"""
    leakage: bool = False
    """also: how much the answers follow the words instead of the voice; where texts are said again and again"""
    teacher: Path | None = None
    """folder in which replies to typed words are kept; empty: .teacher beside the clips"""
    recognition: str = "repeat the words"
    """system prompt that asks for the words"""
    captioning: str = "how does the speaker sound"
    """system prompt that asks for a caption"""
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
        if self.typed and (self.consistency or self.probe or self.cascade or self.by in ("head", "choice")):
            raise ValueError("typed words are not heard; leave consistency, probe, cascade and by out")
        if self.cascade and (self.split == "train" or self.by in ("head", "choice")):
            raise ValueError("cascade: it is fitted on split train and told to the language model; ask another split, by what that says")
        if self.bert_model and not self.consistency:
            raise ValueError("bert_model: compares the replies that consistency asks for; add consistency")
        if self.cascade and self.consistency:
            raise ValueError("consistency: compares what is heard with a written note, which a cascade already has; leave one of them out")
        if self.attribute not in ATTRIBUTES:
            raise ValueError(f"attribute: unknown {self.attribute!r}{suggest(self.attribute, ATTRIBUTES)}; known: {', '.join(ATTRIBUTES)}")
        for value in self.among:
            ATTRIBUTES[self.attribute].value(value)
        return self
