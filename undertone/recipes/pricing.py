"""What the judges of an evaluation, or of all evaluations of a study, would cost: nothing is asked, and no model is opened."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from undertone import settings
from undertone.evaluation.judges import open_judge
from undertone.evaluation.judges.chat import ChatJudge, Cost
from undertone.evaluation.suites import SUITES
from undertone.evaluation.suites.base import Suite
from undertone.lookup import resolve
from undertone.recipes.judging import called
from undertone.recipes.rows import selected
from undertone.recipes.suite import chosen_items
from undertone.records import CONTENT, Reply, Utterance, read_rows
from undertone.speech import corpora


class Asked(NamedTuple):
    """A judge that asks a model: what it is called, where it sits, and how many tokens it may spend."""

    title: str
    model: str
    base_url: str
    limit: int


def price(chosen: settings.Evaluate) -> dict[Asked, Cost]:
    """Judge → what its verdicts would cost. Replies that are not there yet count as long as a reply can be."""
    if not chosen.suite:
        words = (chosen.columns, chosen.values)
        data = corpora.read_data(chosen.data, *words, disjoint=chosen.disjoint, corpus=chosen.corpus, fold=chosen.fold).data
        paired = [row for row in selected(chosen, data.utterances) if row.category != CONTENT]
        return asked_for(chosen, {"chosen": paired}, {})
    suite: Suite = resolve(SUITES, chosen.suite, "suite")()
    if not suite.judges:
        return {}
    items = chosen_items(chosen, suite.load, unspoken=True)[1]
    rows = {name: [item.utterance for item in items if suite.judged_by(item) == name] for name in suite.judges}
    return asked_for(chosen, rows, {item.utterance.id: item.facts["said"] for item in items if "said" in item.facts})


def asked_for(chosen: settings.Evaluate, rows: Mapping[str, Sequence[Utterance]], said: Mapping[str, str]) -> dict[Asked, Cost]:
    """What the verdicts on `rows`, judge by judge, would cost; `said` are replies that a suite itself gives."""
    path = chosen.out / "replies.jsonl"
    known = {reply.utterance_id: reply for reply in read_rows(path, Reply)} if path.exists() else {}
    longest = "word " * chosen.max_new_tokens
    found = {}
    for name, own in rows.items():
        kind, endpoint = called(name, chosen)
        judge = open_judge(kind, endpoint, chosen.verdicts or chosen.out, chosen.draws, unasked=True)
        if own and isinstance(judge, ChatJudge):
            # No two alike: what differs only in the voice is judged twice once there are replies.
            guesses = {row.id: said.get(row.id, f"{longest}{number}") for number, row in enumerate(own)}
            replies = [known.get(row.id, Reply(utterance_id=row.id, run="", text=guesses[row.id])) for row in own]
            title = f"{kind} ({name})" if chosen.suite and name in ("chosen", "second") else kind
            place = settings.Endpoint.model_validate(endpoint)
            found[Asked(title, place.model, place.base_url or "", place.max_tokens_spent)] = judge.cost(own, replies)
    return found


def say(chosen: settings.Evaluate) -> None:
    """Print the estimate, and whether the spend limit allows it."""
    costs = price(chosen)
    _lines({judge.title: cost for judge, cost in costs.items()})
    whole, limit = sum(cost.tokens for cost in costs.values()), chosen.endpoint.max_tokens_spent
    enough = "within" if whole <= limit else "more than"
    print(f"about {whole} tokens in all, {enough} endpoint.max_tokens_spent = {limit}; nothing was asked")


def say_all(evaluations: Iterable[settings.Evaluate]) -> None:
    """Print what the evaluations of a study would cost together, and whether the spend limit, which they share, allows it. What two of them
    ask alike is bought once, so it is a bound."""
    whole: dict[str, Cost] = {}
    spent: dict[Asked, int] = {}
    for one in evaluations:
        for judge, cost in price(one).items():
            whole[judge.title] = Cost(*map(sum, zip(whole.get(judge.title, Cost(0, 0, 0)), cost, strict=True)))
            place = judge._replace(title="")
            spent[place] = spent.get(place, 0) + cost.tokens
    _lines(whole)
    for place, tokens in spent.items():
        if tokens > place.limit:
            shared = "which all arms and seeds share, with what is bought already"
            print(f"{place.model}: about {tokens} tokens to buy are more than its endpoint.max_tokens_spent = {place.limit}, {shared}")
    print(f"about {sum(cost.tokens for cost in whole.values())} tokens at most in all; nothing was asked")


def _lines(costs: Mapping[str, Cost]) -> None:
    for name, cost in costs.items():
        print(f"{name}: {cost.requests} verdicts to buy, {cost.kept} bought already, about {cost.tokens} tokens")
