"""The logger: asyncio's own, `logging.getLogger("asyncio")`."""

from __future__ import annotations

from asyncio.log import logger

__all__ = ("logger",)
