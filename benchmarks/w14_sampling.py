"""W14, one stream of characters drawn from a language model, each read before the next is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.agreement import agree
from benchmarks.character_streams import DIM, LAYERS, TorchLanguageModel, characters
from benchmarks.machine import read_rate, torch_threads
from benchmarks.note_torch import chosen_threads, fastest_threads
from benchmarks.turns import in_turns
from benchmarks.workload import Contestant, Finding, Goal, Options, Prepared, Tell, Workload
from gatelight import LanguageModel, Vocabulary
from gatelight.estimators.token_streams import END
from gatelight.models.language_model import LanguageModel as Network
from gatelight.models.language_model import LanguageModelConfig

SIZES = (64, 256)
READ = 100_000  # characters that the vocabulary is made of
AGREED = 50
NEVER = -100.0  # added to a score: as good as never drawn
FULL, QUICK = (1000, 7), (500, 2)  # characters of a turn, turns
CELLS, STEPPED = "a loop of torch.nn.LSTMCell", "torch.nn.LSTM step by step"
CELLS_GOAL, STEPPED_GOAL = 20.0, 5.0


def writer(hidden: int) -> LanguageModel:
    """Our language model with random weights; it never ends a text, so that all write equally much."""
    stream = characters(READ)
    counts = dict(zip(stream.characters, np.bincount(stream.ids)[2:].tolist(), strict=True))
    vocabulary = Vocabulary.from_counts({**counts, END: 1})
    network = Network(LanguageModelConfig(len(vocabulary), dim=DIM, hidden=hidden, layers=LAYERS), seed=0)
    with torch.no_grad():
        network.output_bias[[0, 1, vocabulary.id(END)]] = NEVER
    model = LanguageModel(tokenizer="char", embedding_dim=DIM, hidden_size=hidden, layers=LAYERS)
    model.restore(vocabulary, network, [], {})
    return model


State = list[tuple[Tensor, Tensor]]


class Stepped:
    """torch.nn's layers, called once for each character: as one LSTM, or as a cell for each layer."""

    def __init__(self, model: TorchLanguageModel, start: int, with_cells: bool) -> None:
        self.model, self.start, self.threads = model.eval(), start, 1
        self.cells: list[nn.LSTMCell] = []
        for layer in range(LAYERS if with_cells else 0):
            cell = nn.LSTMCell(DIM if layer == 0 else model.memory.hidden_size, model.memory.hidden_size)
            with torch.no_grad():
                for name, weight in cell.named_parameters():
                    weight.copy_(model.memory.get_parameter(f"{name}_l{layer}"))
            self.cells.append(cell)

    def step(self, token: Tensor, state: State | None) -> tuple[Tensor, State]:
        """token int64 [1] → scores [1, V] and the state after it."""
        x = self.model.embedding(token)
        if not self.cells:
            hidden, after = self.model.memory(x[None], None if state is None else state[0])
            return self.model.output(hidden[0]), [after]
        after = []
        for layer, cell in enumerate(self.cells):
            h, c = cell(x, None if state is None else state[layer])
            after.append((h, c))
            x = h
        return self.model.output(x), after

    def write(self, count: int) -> list[int]:
        """Draw so many characters."""
        found: list[int] = []
        with torch.inference_mode(), torch_threads(self.threads):
            scores, state = self.step(torch.tensor([self.start]), None)
            for _ in range(count):
                token = torch.multinomial(torch.softmax(scores, 1), 1)[0]
                found.append(int(token))
                scores, state = self.step(token, state)
        return found

    def scores(self, ids: list[int]) -> np.ndarray:
        """Scores [T, V] after the mark and each of the ids."""
        rows, state = [], None
        with torch.inference_mode():
            for token in [self.start, *ids]:
                scores, state = self.step(torch.tensor([token]), state)
                rows.append(scores[0])
        return torch.stack(rows).numpy()

    def contestant(self, name: str, count: int) -> Contestant:
        """What is timed."""
        return Contestant(
            name, lambda: self.write(count), self._warm, setting=lambda: chosen_threads(self.threads)
        )

    def _warm(self) -> None:
        def use(threads: int) -> None:
            self.threads = threads

        self.threads = fastest_threads(lambda: self.write(AGREED), use)


def prepare(hidden: int, count: int) -> Prepared:
    """Ours and both of torch's, after the same scores along a text that ours wrote."""
    ours = writer(hidden)
    model, mark = TorchLanguageModel(ours.model_), ours.vocabulary_.id(END)
    rivals = {CELLS: Stepped(model, mark, True), STEPPED: Stepped(model, mark, False)}
    text = ours.generate(length=AGREED)
    ids = ours.vocabulary_.ids(list(text))
    rows, _ = ours.reader_.read(np.array([mark, *ids], np.int32), ours.model_.initial(1))
    drawn = ours.model_.output_bias.detach().numpy() != NEVER
    agreed = [
        agree(
            f"H={hidden}, {AGREED} characters, {name}",
            {"scores": rival.scores(ids.tolist())[:, drawn]},
            {"scores": rows[:, drawn]},
        )
        for name, rival in rivals.items()
    ]
    if len(ours.generate(length=count)) != count:
        raise ValueError("a text of another length than was asked for")
    network = ours.model_
    weights = sum(p.nbytes for p in network.parameters() if p.dim() == 2) - sum(
        p.nbytes
        for p in (network.embedding.weight, network.memory[0].weight_ih_l0)  # rows of a table instead
    )
    write: Callable[[int], object] = lambda length: ours.generate(length=length)  # noqa: E731
    return Prepared(
        [
            Contestant("gatelight", lambda: write(count), lambda: write(AGREED), ours=True),
            *(rival.contestant(name, count) for name, rival in rivals.items()),
        ],
        agreed,
        [
            Goal(CELLS_GOAL, CELLS, (CELLS,)),
            Goal(STEPPED_GOAL, STEPPED, (STEPPED,)),
        ],
        scale=1000 / count,
        work=float(weights * count),
        read_rate=lambda: read_rate(weights),
        name=f"H={hidden}",
        measured="1,000 characters",
        facts={
            "ours": "from the model to the text, on one thread at H=64 and on two at H=256; the others' "
            "characters stay ids"
        },
    )


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """A scene for each size."""
    count, turns = options.extent(FULL, QUICK)
    for hidden in SIZES:
        tell(f"H={hidden}: preparing, and comparing scores")
        yield in_turns(prepare(hidden, count), turns, options, tell)


WORKLOAD = Workload("W14", f"writing one stream of characters: {LAYERS} LSTM layers, D={DIM}", run)
