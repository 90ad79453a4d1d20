"""How a function becomes a PyTorch operator `gatelight::name`; knows nothing of what it computes.

`torch.library.custom_op` would do the same, but at the first call it imports the compiler
(a thousand modules, over a second), which most programs never use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

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

    A call with plain tensors goes past torch's dispatcher, whose way through Python takes longer than a short
    text does; what traces, transforms or compiles the program meets the operator.
    """
    schema = torch.library.infer_schema(compute, mutates_args=(), op_name=name)
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, compute, "CPU")  # type: ignore[no-untyped-call]
    qualified = f"gatelight::{name}"
    torch.library.register_fake(qualified, shapes, lib=LIBRARY)
    torch.library.register_autograd(qualified, gradient or refuse, setup_context=setup, lib=LIBRARY)
    through_torch = getattr(torch.ops.gatelight, name).default
    function = None if gradient is None or setup is None else _function(name, compute, gradient, setup)

    def call(*arguments: Any) -> Any:
        if torch.compiler.is_compiling() or not plain(arguments):
            return through_torch(*arguments)
        if not (
            torch.is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in arguments)
        ):
            return compute(*arguments)
        return through_torch(*arguments) if function is None else function.apply(*arguments)  # type: ignore[no-untyped-call]

    return call


def _function(
    name: str, compute: Callable[..., Any], gradient: Callable[..., Any], setup: Callable[..., None]
) -> type[torch.autograd.Function]:
    def forward(ctx: Any, *arguments: Any) -> Any:
        # With a setup_context of its own, torch would look up this function's signature at every call.
        output = compute(*arguments)
        setup(ctx, arguments, output)
        return output

    methods = {"forward": staticmethod(forward), "backward": staticmethod(gradient)}
    return type(name, (torch.autograd.Function,), methods)


def plain(arguments: tuple[Any, ...]) -> bool:
    """Whether nobody looks on: no tracing, no mode, no transform of functions; and all is on the CPU."""
    for a in arguments:
        if isinstance(a, Tensor) and not (type(a) in _PLAIN and a.is_cpu):
            return False
    return (
        torch._C._len_torch_dispatch_stack() == 0
        and torch._C._len_torch_function_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch._C._get_tracing_state() is None
    )


_PLAIN = (Tensor, nn.Parameter)


def refuse(ctx: Any, *gradients: Any) -> None:
    """Raise RuntimeError: there is no second derivative."""
    # Without this torch would only warn, and the second derivative would silently be wrong.
    raise RuntimeError(
        "the compiled layers have no second derivative; build the layer with backend='reference' for that"
    )
