"""CPython's own asyncio tests, those that came with the interpreter, with cede in asyncio's place.

`place` puts it there, `child` runs the tests of one module in a process of its own, `suite` runs children and judges,
`python -m tests.conformance` runs everything and counts, `test_conformance` is the part of it that every run of the
suite takes. docs/conformance.md has the figures.
"""
