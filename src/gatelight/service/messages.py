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


REJECTED: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure} for status in (400, 401, 403, 404, 408, 413, 422, 503)
}
