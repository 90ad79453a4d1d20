"""What clients send and get, as types from which the OpenAPI description is made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Label = str | int | bool | float
Name = Annotated[
    str | None, Field(description="Which model; may be left out where there is one.", max_length=200)
]


class Request(BaseModel):
    """What every request is: nothing but the fields named, of the types named."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Name = None


class Predict(Request):
    """One text, or several."""

    text: str | None = None
    texts: list[str] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Predict:
        if (self.text is None) == (self.texts is None):
            raise PydanticCustomError(
                "text_or_texts", 'send either "text", a string, or "texts", a list of them'
            )
        return self


class Prediction(BaseModel):
    """What the model says of a text; a multi-label model gives lists of labels and their probabilities."""

    label: Label | list[Label]
    probability: float | list[float]
    probabilities: dict[str, float]
    unknown: Annotated[float, Field(description="The fraction of the tokens that are out of vocabulary.")]


class Predictions(BaseModel):
    """A prediction for each text, in order."""

    model: str
    predictions: list[Prediction]


class Inspect(Request):
    """A text to look into, perhaps with gates clamped to a value from 0 (shut) to 1 (open)."""

    text: str
    layer: Annotated[int, Field(ge=0, lt=1000)] = 0
    clamp: Annotated[dict[str, Annotated[float, Field(ge=-1, le=1)]], Field(max_length=4)] = {}


class Explain(Inspect):
    """A text whose tokens' contributions are wanted, to the class `target` or to the one predicted."""

    method: Literal["integrated-gradients", "gradient-x-input", "occlusion", "pool"] = "integrated-gradients"
    target: Label | None = None


class Trace(Inspect):
    """A text whose gates and states are wanted, of the most active units."""

    direction: Annotated[int, Field(ge=0, le=1)] = 0
    units: Annotated[int, Field(ge=1, le=1024)] = 32


class Token(BaseModel):
    """A token of a text, whether the model knows it, and what is read in its place (null: it is left out)."""

    text: str
    known: bool
    read_as: str | None


class Running(BaseModel):
    """What the model says after each token; of a language model what each token costs in bits.

    After each token (and before all) the recurrent side of a wide model speaks alone.
    """

    model: str
    tokens: list[Token]
    classes: list[Label]
    multilabel: bool
    before: Annotated[list[float], Field(description="What the model says of no text.")]
    running: Annotated[list[list[float]], Field(description="tokens × classes")]
    probabilities: list[float]
    label: Label | list[Label] | None
    unknown: float
    bits: list[float] | None


class Ngram(BaseModel):
    """An n-gram of a text, and what it contributes."""

    ngram: str
    contribution: float


class Explanation(BaseModel):
    """Contributions to the log odds of `target`, in nats, of the tokens that are read."""

    model: str
    method: str
    target: Label
    probability: float
    score: float
    base: Annotated[float | None, Field(description="The score of `baseline`; null: the method has none.")]
    baseline: str
    gap: Annotated[float | None, Field(description="What the contributions fail to explain.")]
    tokens: list[str]
    places: Annotated[list[int], Field(description="Which of the text's tokens each one is.")]
    contributions: list[float]
    ngrams: Annotated[list[Ngram], Field(description="Of a wide model; those that contribute most, first.")]


class TraceView(BaseModel):
    """Gates and states of the most active units, tokens × units each, under the names of the cell."""

    model: str
    cell: str
    names: list[str]
    layer: int
    direction: int
    layers: int
    directions: int
    all_units: int
    tokens: list[str]
    places: list[int]
    units: Annotated[list[int], Field(description="The most active first.")]
    alike: Annotated[list[int], Field(description="The same units, those that do the same side by side.")]
    half_lives: Annotated[list[float | None], Field(description="In tokens; null: forever; an RNN has none.")]
    values: dict[str, list[list[float]]]


class Generate(Request):
    """How a language model is to continue a text."""

    prompt: str = ""
    length: Annotated[int, Field(ge=1)] = 200
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    stop: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    units: Annotated[int, Field(ge=0, le=256, description="Send so many units' hidden states.")] = 0


class About(BaseModel):
    """A model that is served."""

    name: str
    kind: Literal["classifier", "language model"]
    classes: list[Label]
    multilabel: bool
    cell: str
    layers: int
    directions: int
    units: int
    pool: str | None
    tokenizer: str
    words: bool
    vocabulary: int
    wide: Annotated[bool, Field(description="Whether n-grams stand beside the recurrent layers.")]


class Models(BaseModel):
    """All models that are served."""

    models: list[About]


class Failure(BaseModel):
    """Why a request was not served, and what to do."""

    error: str


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure} for status in statuses}


REJECTED = _errors(400, 401, 403, 408, 413, 422, 503)
REJECTED_OR_MISSING = REJECTED | _errors(404)
