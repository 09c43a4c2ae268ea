"""How tasks are shown, under the names of asyncio's private module."""

from __future__ import annotations

from .engine.reports import print_task_stack as _task_print_stack
from .engine.reports import task_repr as _task_repr
from .engine.reports import task_stack as _task_get_stack

__all__ = ("_task_get_stack", "_task_print_stack", "_task_repr")
