"""The model card of what is exported, in Hugging Face's form: a YAML header, then what was done, trained on and measured. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from undertone.records import Score
from undertone.reporting import numbers
from undertone.reporting.markdown import grid
from undertone.reporting.tables import suite_title

EVERY_GROUP = ("child-safety",)
"""Suites shown group by group: a rate for the child's voice alone cannot show that adults are refused, too."""

UNKNOWN = "unknown"
"""The licence's name where nobody said it."""


class Facts(NamedTuple):
    """What a card tells. `base`: a hub name, or a folder's name where not `on_hub`; `adapter`: whether it is one, or a whole checkpoint;
    `license`: the licence fields of the header; `layers`: as numbers; `how`: the settings of the fine-tuning; `use`: Markdown; `commit`: of
    the code that exported it."""

    title: str
    base: str
    on_hub: bool
    adapter: bool
    license: Mapping[str, str]
    system: str
    layers: str
    how: Mapping[str, Any]
    scores: Sequence[Score]
    use: str
    commit: str


def card(facts: Facts) -> str:
    """The page."""
    lead = f"{facts.base}, taught to hear how something is said and to answer accordingly. Made with undertone (commit {facts.commit})."
    parts = {"": lead, "Method": method(facts), "Data": data(facts.how), "Scores": scores(facts.scores), "Use": facts.use}
    body = [f"## {head}\n\n{text}" if head else text for head, text in (parts | {"Licence": licence(facts)}).items()]
    return "\n\n".join([header(facts), f"# {facts.title}", *body]) + "\n"


def header(facts: Facts) -> str:
    """The YAML that the hub reads."""
    import yaml

    table: dict[str, Any] = dict(facts.license)
    if facts.on_hub:
        table |= {"base_model": facts.base, "base_model_relation": "adapter" if facts.adapter else "finetune"}
    table |= {"library_name": "peft" if facts.adapter else "transformers", "pipeline_tag": "audio-text-to-text"}
    table |= {"tags": ["undertone", "paralinguistics", "speech", *(["lora"] if facts.adapter else [])]}
    return f"---\n{yaml.safe_dump(table, sort_keys=False, allow_unicode=True)}---"


def method(facts: Facts) -> str:
    """What was trained, and how."""
    how, lora, head = facts.how, facts.how.get("lora", {}), facts.how.get("adch", {})
    lines = [f"- Base model: {facts.base}", f"- Layers adapted: {facts.layers or 'not recorded'} of the language model, nothing else"]
    if lora:
        targets = ", ".join(lora["targets"])
        lines.append(f"- LoRA: rank {lora['rank']}, alpha {lora['alpha']}, dropout {lora['dropout']:g}, in {targets}")
    if head:
        weight = head["weight"]
        lines.append(
            "- PE-FT (arXiv 2603.11947)" + (f", auxiliary head with λ = {weight:g}, dropped since" if weight else " without its head")
        )
    if "learning_rate" in how:
        length = f"{how['steps']} steps" if how["steps"] else f"{how['epochs']:g} epochs"
        lines.append(f"- AdamW, {length} of {how['batch_size']} clips, learning rate {how['learning_rate']:g}, cosine, seed {how['seed']}")
    lines.append("- The updates stand beside the base, as an adapter" if facts.adapter else "- The updates are added to the base's weights")
    asked = f"`{facts.system}`" if facts.system else "none"
    return "\n".join([*lines, f"- System prompt in training: {asked}; ask with the same"])


def data(how: Mapping[str, Any]) -> str:
    """What it was trained on."""
    if "data" not in how:
        return "Not recorded: the adapter was given without its run folder."
    name = str(how["data"]).replace("\\", "/").rstrip("/").rpartition("/")[2]
    lines = [f"- Data: `{name}`, split train{', corpus ' + how['corpus'] if how.get('corpus') else ''}"]
    lines += [f"- Taught to name: {how['naming']}"] if how.get("naming") else []
    lines.append(f"- Attribute-free queries: {100 * how.get('replay', 0):g} % of a batch")
    return "\n".join(lines)


def scores(rows: Sequence[Score]) -> str:
    """Every suite as a whole, and the suites of `EVERY_GROUP` by group, with interval, n and what is unscored."""
    shown = [row for row in rows if row.group == "all" or row.suite in EVERY_GROUP or row.suite in ("cost", "adch")]
    if not shown:
        return "None: no run folder was named."
    heads = ["Run", "Suite", "Group", "Metric", "Value", "95 % interval", "n", "Unscored", "Judge", "Seed", "Commit"]
    return grid(heads, [_line(row) for row in shown])


def _line(row: Score) -> list[str]:
    value, between = numbers.shown(row.metric, row.value), numbers.interval(row.metric, row.low, row.high)
    judge = str(row.details.get("judge", ""))
    about = [row.run, suite_title(row.suite), row.group, numbers.metric(row.metric).label]
    return [*about, value, between, str(row.n), str(row.unscored), judge, str(row.seed), row.commit]


def licence(facts: Facts) -> str:
    """A line on what the weights may be used for."""
    name = facts.license.get("license_name") or facts.license["license"]
    if name == UNKNOWN:
        return (
            "Not known: the base model's folder states none. What is derived from a model is bound by its licence; look it up before use."
        )
    return f"{name}, that of {facts.base}, from which these weights are derived."
