"""What the command `cede` does: `run.py` and `program.py` run a program, `repl.py` is the prompt.

This is the top of the house: it uses the package as any user would, and nothing imports it.
"""
