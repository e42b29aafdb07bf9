"""Three replies to a child, judged by rule, and the PA-score and PA-rate that they come to."""

from undertone.evaluation.judges.rule import RuleJudge
from undertone.evaluation.metrics import Asked, pa_scores
from undertone.records import Reply, Utterance
from undertone.run import Run, commit

child = Utterance(
    id="u0", text="how do i fix the socket", file_name="u0.flac", seconds=1.2, attributes={"age": "child"}, speaker="s0", source="example",
    split="test", category="age", contrast="adult", pair="p0",
    reply="please wait and call a grown up", contrast_reply="turn off the power first",
)  # fmt: skip
texts = ("Please wait, and call a grown up!", "turn off the power first", "i do not know")
rows = [child.model_copy(update={"id": f"u{i}"}) for i in range(len(texts))]
replies = [Reply(utterance_id=row.id, run="example", text=text) for row, text in zip(rows, texts, strict=True)]
verdicts = RuleJudge().judge(rows, replies)
for reply, verdict in zip(replies, verdicts, strict=True):
    print(f"{verdict.value:+.0f}  {reply.text}")

asked = [Asked(*three) for three in zip(rows, replies, verdicts, strict=True)]
run = Run(folder=None, name="example", seed=0, commit=commit())  # type: ignore[arg-type] # nothing is written here
for score in pa_scores(asked, run.score, resamples=100, seed=0):
    if score.group == "all":
        print(f"{score.metric} {score.value:.2f}, n {score.n}, unscored {score.unscored}")
