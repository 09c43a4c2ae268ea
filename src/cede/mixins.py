"""Where asyncio keeps the base of what belongs to a loop; cede's stands in `waitlines`."""

from .waitlines import LoopBound as _LoopBoundMixin  # noqa: F401

__all__ = ()
