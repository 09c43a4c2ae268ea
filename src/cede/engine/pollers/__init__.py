"""Pollers: what asks the kernel which descriptors are ready. `epoll` on Linux, `select` everywhere."""
