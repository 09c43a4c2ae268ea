"""How callbacks and stacks are shown: asyncio's own helpers, which know cede's objects too."""

from __future__ import annotations

from asyncio.format_helpers import (
    _format_args_and_kwargs,
    _format_callback,
    _format_callback_source,
    _get_function_source,
    extract_stack,
)

__all__ = (
    "_format_args_and_kwargs",
    "_format_callback",
    "_format_callback_source",
    "_get_function_source",
    "extract_stack",
)
