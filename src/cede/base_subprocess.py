"""The transport of a child process, under the names of asyncio's private module."""

from __future__ import annotations

from asyncio.base_subprocess import ReadSubprocessPipeProto, WriteSubprocessPipeProto

from .net.children import SubprocessTransport as BaseSubprocessTransport

__all__ = ("BaseSubprocessTransport", "ReadSubprocessPipeProto", "WriteSubprocessPipeProto")
