"""Looking into a running program: what its tasks do (`snapshot`), and the socket at which it can be asked (`listener`).

Nothing here is imported unless somebody asks: `CEDE_INSPECT=1`, `cede run --inspect`, or `cede ps` from outside.
"""
