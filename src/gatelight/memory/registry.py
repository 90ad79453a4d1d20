"""How a function becomes a PyTorch operator `gatelight::name`; knows nothing of what it computes.

`torch.library.custom_op` would do the same, but at the first call it imports the compiler
(a thousand modules, over a second), which most programs never use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

LIBRARY = torch.library.Library("gatelight", "DEF")  # type: ignore[no-untyped-call]


def operator(
    name: str,
    compute: Callable[..., Any],
    shapes: Callable[..., Any],
    gradient: Callable[..., Any] | None = None,
    setup: Callable[..., None] | None = None,
) -> Callable[..., Any]:
    """Register `compute` (CPU; its annotations give the schema; mutates nothing) and return the operator.

    `shapes` makes empty outputs for tracing; `gradient` and `setup` as torch.library.register_autograd wants.
    Without `gradient` a derivative through the operator raises RuntimeError.
    """
    schema = torch.library.infer_schema(compute, mutates_args=(), op_name=name)
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, compute, "CPU")  # type: ignore[no-untyped-call]
    qualified = f"gatelight::{name}"
    torch.library.register_fake(qualified, shapes, lib=LIBRARY)
    torch.library.register_autograd(qualified, gradient or _refuse, setup_context=setup, lib=LIBRARY)
    return getattr(torch.ops.gatelight, name).default  # type: ignore[no-any-return]


def _refuse(ctx: Any, *gradients: Any) -> None:
    # Without this torch would only warn, and the second derivative would silently be wrong.
    raise RuntimeError(
        "the compiled memory has no second derivative; build the layer with backend='reference' for that"
    )
