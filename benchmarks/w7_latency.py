"""W7, one text of 200 tokens, batch 1: from ids and from the string to a probability, p50 and p99."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from benchmarks.agreement import agree
from benchmarks.keras_process import KerasModel, start_all
from benchmarks.note_models import NoteModel
from benchmarks.note_onnx import OnnxNote
from benchmarks.note_ours import OurNote, only_kernels
from benchmarks.note_torch import TorchNote, batches
from benchmarks.reviews import Reviews, one_review, texts, with_vector, word_reviews
from benchmarks.workload import Finding, Options, Outcome, Tell, Workload
from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.judging import Judge
from gatelight.estimators.labels import Classes
from gatelight.estimators.reading import Reading
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import Vocabulary

NOTE = NoteModel("words, 200 steps", 200, 300, 50, 0.2, word_reviews)
READ = 4000  # texts that the vocabulary is made of
SLOW = ("tensorflow",)  # seventeen times ONNX Runtime: left out when quick
BLOCK = 50  # calls of one before it is the next one's turn
FULL, QUICK = 20, 4  # blocks of each
WARM = 20
IDS, STRING = "gatelight, ids", "gatelight, string"
IDS_GOAL, STRING_GOAL = 0.7, 1.2

Calls = Callable[[int], list[float]]


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One table; everybody gets ready tensors, and ours the string as well."""
    start_all(options.backends(SLOW))
    tell("preparing, and comparing probabilities")
    estimator, text, one = fitted()
    every, agreed, settings = contestants(estimator, text, one, options)
    for sentence in agreed:
        tell(sentence)
    blocks = options.turns or (QUICK if options.quick else FULL)
    seconds: dict[str, list[float]] = {name: [] for name in every}
    with only_kernels():
        for calls in every.values():
            calls(WARM)
        for number in range(blocks):
            tell(f"block {number + 1} of {blocks}")
            for name, calls in every.items():
                seconds[name] += calls(BLOCK)
    yield Finding(
        name="",
        measured="one text",
        outcomes=outcomes(seconds),
        agreed=agreed,
        table=_table(seconds),
        facts={
            "text": f"200 tokens, {len(text):,} characters",
            "calls": f"{blocks * BLOCK} of each, in turns of {BLOCK}",
            "not measured": options.missing(SLOW),
            **settings,
        },
        turns=blocks,
    )


def fitted() -> tuple[TextClassifier, str, Reviews]:
    """A classifier of the note's size that reads words, a text of 200 tokens, and its ids."""
    words = tokenizer("word")
    vocabulary = Vocabulary.build(with_vector(text) for text in texts()[:READ])
    # Joined by spaces, words are cut again into the same words.
    known = next(tokens for tokens in map(with_vector, texts()) if len(tokens) >= NOTE.steps)
    text = " ".join(known[: NOTE.steps])
    ours = OurNote(NOTE, NOTE.weights(len(vocabulary)))
    estimator = TextClassifier()
    reading = Reading(words, vocabulary, NOTE.steps, "head", "drop")
    estimator.restore(
        judge=Judge(Classes.of(["neg", "pos"]), reading, ours.model.eval()), history=[], training={},
        validation=None, baseline=None,
    )  # fmt: skip
    encoded = reading.encode([text])
    if encoded.lengths.tolist() != [NOTE.steps]:
        raise ValueError(f"the text has {encoded.lengths[0]} tokens; {NOTE.steps} were wanted")
    return estimator, text, one_review(encoded, len(vocabulary))


def contestants(
    estimator: TextClassifier, text: str, one: Reviews, options: Options
) -> tuple[dict[str, Calls], list[str], dict[str, str]]:
    """How each is called n times, giving the seconds of each call; what agreed; what was chosen."""
    weights = NOTE.weights(one.vocabulary_size)
    predictor = OurNote(NOTE, weights).predictor()
    onnx, torch_model = OnnxNote(weights), TorchNote(weights, packed=False, dropout=0.0)
    ids, lengths = one.padded(NOTE.steps), one.lengths.astype(np.int32)
    ready = batches(one, [np.array([0])], NOTE.steps)
    keras = [KerasModel(backend, NOTE.name, weights, NOTE.dropout) for backend in options.backends(SLOW)]
    for model in keras:
        model.load(one)
    onnx.warm(lambda: [onnx.probabilities(ids, lengths) for _ in range(BLOCK)])
    torch_model.warm(lambda: [torch_model.predict(ready) for _ in range(BLOCK)])
    mine = {"probability": predictor.probabilities(one.ids, one.lengths)[0]}
    others = {
        "gatelight from the string": estimator.predict_proba([text])[0, 1:],
        "ONNX Runtime": onnx.probabilities(ids, lengths),
        "torch": torch_model.predict(ready),
        **{model.name: model.latencies(1)[1] for model in keras},
    }
    agreed = [
        agree(f"gatelight from ids and {name}", {"probability": other}, mine)
        for name, other in others.items()
    ]
    every: dict[str, Calls] = {
        IDS: timed(lambda: predictor.probabilities(one.ids, one.lengths)),
        STRING: timed(lambda: estimator.predict_proba([text])),
        "ONNX Runtime": timed(lambda: onnx.probabilities(ids, lengths)),
        "torch.nn.LSTM": timed(lambda: torch_model.predict(ready)),
        **{model.name: lambda count, model=model: model.latencies(count)[0] for model in keras},
    }
    return every, agreed, {"ONNX Runtime": onnx.setting(), "torch.nn.LSTM": torch_model.setting()}


def timed(call: Callable[[], object]) -> Calls:
    """Call n times and tell how long each took."""

    def calls(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        return seconds

    return calls


def outcomes(seconds: Mapping[str, Sequence[float]]) -> list[Outcome]:
    """Ours against the fastest peer's ready-tensor time, at p50 and at p99, each of the same percentile."""
    found = []
    for percentile in (50, 99):
        at = {name: float(np.percentile(taken, percentile)) for name, taken in seconds.items()}
        fastest = min((name for name in at if name not in (IDS, STRING)), key=lambda name: at[name])
        for name, goal in ((IDS, IDS_GOAL), (STRING, STRING_GOAL)):
            what = f"{name.removeprefix('gatelight, ')}, p{percentile}, of {fastest}'s time"
            found.append(Outcome(what, at[name] / at[fastest], goal, at_most=True))
    return found


def _table(seconds: Mapping[str, Sequence[float]]) -> list[list[str]]:
    mine = np.percentile(seconds[IDS], 50)
    rows = [
        [
            name,
            *(f"{1e3 * np.percentile(taken, q):.3f}" for q in (50, 99)),
            f"{np.percentile(taken, 50) / mine:.2f}",
        ]
        for name, taken in seconds.items()
    ]
    return [["one text", "p50, ms", "p99, ms", "× ours from ids, p50"], *rows]


WORKLOAD = Workload(
    name="W7",
    title="one text of 200 tokens, batch 1, H=50: ids to probability, and string to probability",
    run=run,
)
