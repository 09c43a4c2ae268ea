# One entry point. Every target makes the environment it needs under .venv/, from $(PYTHON) alone.
#
#     make demo      build cede and watch the same program on cede, asyncio and uvloop
#     make test      build cede and run the whole suite, compiled and as plain Python
#
# Another interpreter: make test PYTHON=python3.13. A part of the suite: make test ARGS="tests/engine -k cancel".

PYTHON ?= python3
ARGS ?=

test_venv = scripts/venv.sh $(PYTHON) test requirements/test.txt --optional requirements/programs.txt
bench_venv = scripts/venv.sh $(PYTHON) bench requirements/build.txt
in_place = setup.py --quiet build_ext --inplace
docs_venv = scripts/venv.sh $(PYTHON) docs requirements/docs.txt

.PHONY: help build debug test test-compiled test-pure programs applications suites false-reports conformance soak sanitize refcounts tricks demo bench lint format docs dist \
	wheels release-check clean

help:
	@sed -n 's/^#     //p; s/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 18

build: ## compile the engine in place for $(PYTHON)
	@python=$$($(test_venv)) && CEDE_EXT=require $$python $(in_place)

debug: ## the same with -O0 -g, bounds checks, line tracing and annotated HTML under build/
	@python=$$($(test_venv)) && CEDE_EXT=require CEDE_DEBUG=1 $$python $(in_place)

test: ## the whole suite, compiled, then as plain Python
	@scripts/suite.sh $(PYTHON) compiled pure -- $(ARGS)

test-compiled: ## the suite, compiled
	@scripts/suite.sh $(PYTHON) compiled -- $(ARGS)

test-pure: ## the suite as plain Python; needs no compiler
	@scripts/suite.sh $(PYTHON) pure -- $(ARGS)

programs: ## other people's programs on cede: the tests that want many libraries, in an environment of its own
	@scripts/suite.sh --programs $(PYTHON) compiled pure -- $(ARGS)

applications: ## well-known applications under `cede run`: the table of docs/programs.md, in an environment of its own
	@scripts/suite.sh --applications $(PYTHON) compiled -- $(ARGS)

suites: ## other people's whole test suites, on asyncio, cede and uvloop, on 3.13; half an hour. ARGS="--on cede anyio"
	@scripts/suites.sh 3.13 $(or $(ARGS),--on asyncio,cede,cede-plain,uvloop --table)

false-reports: ## anyio's, aiohttp's and cede's own suite while leaks, deadlocks and stalls are looked for, on 3.13; ARGS="anyio"
	@scripts/false_reports.py $(ARGS)

conformance: ## all of CPython's own asyncio tests on cede, in both modes and speeds; minutes
	@python=$$($(test_venv)) && CEDE_EXT=require $$python $(in_place) && \
		$$python -m tests.conformance $(ARGS) && CEDE_PURE=1 $$python -m tests.conformance $(ARGS)

soak: debug ## an hour of mixed load on a debug build: no leak, no hang; ARGS="--minutes 5" (then: make build)
	@python=$$($(test_venv)) && $$python -X dev scripts/soak.py $(ARGS)

sanitize: ## tests, fuzzers and ten thousand rounds of each object on a build with ASan and UBSan, on 3.13; ARGS=--quick
	@scripts/sanitize.sh $(ARGS)

refcounts: ## the same rounds, and the engine's tests, on a debug build of the interpreter: all references counted right
	@scripts/refcounts.sh $(ARGS)

tricks: ## the engine's tests without each of the things that it assumes about the interpreter; minutes
	@python=$$($(test_venv)) && CEDE_EXT=require $$python $(in_place) && CEDE_TEST_TRICKS=each \
		$$python -m pytest -n "$${CEDE_TEST_JOBS:-3}" tests/engine/test_assumptions.py tests/engine/test_changed_interpreter.py $(ARGS)

demo: ## examples/demo.py on cede, asyncio and uvloop side by side
	@python=$$($(test_venv)) && CEDE_EXT=require $$python $(in_place) && $$python examples/demo.py $(ARGS)

bench: ## the benchmarks; they write docs/performance.md
	@python=$$($(bench_venv)) && CEDE_EXT=require $$python $(in_place) && \
		$$python -m benchmarks --install && $$python -m benchmarks $(ARGS)

lint: ## ruff, cython-lint, mypy --strict, basedpyright and shellcheck; clang-format, cppcheck and gcc's analyser
	@scripts/lint.sh $(PYTHON)

format: ## bring every file into the form that lint asks for
	@python=$$(scripts/venv.sh $(PYTHON) lint requirements/lint.txt) && $${python%/*}/ruff check --quiet --fix-only . && \
		$${python%/*}/ruff format . && $${python%/*}/clang-format -i src/cede/*/*.h tests/portable.h tests/engine/checks.c

docs: ## the documentation as a site in site/, links checked
	@python=$$($(docs_venv)) && $$python scripts/check_links.py && \
		$$python -m sphinx -q -W --keep-going -d build/doctrees docs site && echo "site/index.html"

dist: ## sdist and wheel in dist/
	@python=$$($(test_venv)) && rm -rf build/release/lib* && $$python -m build --outdir dist .

wheels: ## all that is published, in dist/: sdist, plain wheel, manylinux and musllinux wheels of every Python
	@scripts/wheels.sh $(ARGS)

release-check: ## version, changelog, and the wheels of dist/ installed and run on every Python
	@scripts/release_check.sh $(ARGS)

clean: ## remove what builds and tests left; environments stay (rm -r .venv)
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	find src \( -name '*.so' -o -name '*.c' \) -delete
