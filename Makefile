# Two commands do everything: `make demo` and `make test`. Each creates its environment first if it is
# missing or out of date.

PYTHON ?= python3
BIN := .venv/bin
WHEEL_BIN := .venv-wheel/bin

.PHONY: vendor words pictures demo test check lint units journeys coverage bench crash-sweep kill-storm node-storm power-cut drop-reader restore-sweep keeping-sweep edit-sweep ladder-sweep dialog-sweep deb system-test lock clean

demo: .venv/made
	$(BIN)/postmottak demo

# Linters and the installation of the wheel take one core each.
test: .venv/made
	$(MAKE) --jobs 2 --output-sync=target lint .venv-wheel/made
	$(MAKE) units
	$(MAKE) journeys

# All checks on the checkout. The journeys are separate: they run against the wheel, as installed.
check: lint
	$(MAKE) units

lint: .venv/made
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

# The sweeps first: the longest tests at the end would leave a core idle. Three workers for two cores,
# because many tests wait for the disk or for a process.
units: .venv/made
	$(BIN)/pytest --numprocesses 3 tests/sweeps tests/contracts tests/journeys/test_store_move.py tests/unit tests/connectors

# Line and branch coverage. Not part of `test`, because nothing depends on it and it is slow.
coverage: .venv/made
	$(BIN)/pytest --numprocesses 2 --cov --cov-report=term:skip-covered tests/unit tests/connectors tests/contracts

# Whole journeys of the installed command line, as child processes, and the page in a real browser.
# They mostly wait, so run seven at a time. The browser's come last in each worker: its event loop
# stays, and no journey could start one after it.
journeys: .venv-wheel/made
	POSTMOTTAK=$(CURDIR)/$(WHEEL_BIN)/postmottak $(BIN)/pytest --numprocesses 7 tests/journeys tests/browser

.venv/made: requirements-dev.lock pyproject.toml postmottak.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Postmottak needs Python 3.11 or later; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Everything that goes into the wheel, templates, words and styles included.
SOURCES := $(shell find daemon connectors config -type f -not -path '*/__pycache__/*') postmottak.py docs/openapi.json pyproject.toml README.md

.venv-wheel/made: .venv/made requirements.lock $(SOURCES)
	rm -rf dist
	$(BIN)/python -m build --quiet --no-isolation
	$(PYTHON) -m venv --clear .venv-wheel
	$(WHEEL_BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(WHEEL_BIN)/pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	touch $@

# Time and memory, compared with simpler programs. Takes about ten minutes and writes
# docs/performance.md.
#
# BENCH selects parts: throughput latency neighbours memory stored waiting bell abreast turns ladder
# idle routing. `capacity` writes docs/capacity.md.
bench: .venv/made
	$(BIN)/python -m benchmarks $(BENCH)

# Long proofs. Each writes its latest result into docs/reliability.md, except edit-sweep.

# Interrupts every relevant system call in three ways, and kills each process of the service as it
# runs before every one. Needs strace, x86_64 and seccomp; TMPDIR=/dev/shm makes it faster.
crash-sweep: .venv/made
	$(BIN)/python tests/sweeps/crash_sweep.py --report docs/reliability.md
	$(BIN)/python tests/sweeps/service_sweep.py --report docs/reliability.md

# Kills workers, the fork server and the service at random, 500 times.
kill-storm: .venv/made
	$(BIN)/python tests/sweeps/kill_storm.py --report docs/reliability.md

# Strikes three nodes and their PostgreSQL at random, while a thousand letters come.
node-storm: .venv/made
	$(BIN)/python tests/sweeps/node_storm.py --report docs/several-nodes.md

# Simulates power cuts, on file systems created for it. Needs root and loop devices.
power-cut: .venv/made
	$(BIN)/python tests/sweeps/power_cut.py --report docs/reliability.md

# A consumer reads each drop immediately, while the service is killed repeatedly.
drop-reader: .venv/made
	$(BIN)/python tests/sweeps/drop_reader.py --report docs/reliability.md

# Deletes the store of a busy installation with a thousand letters and restores a backup. Takes some
# minutes.
restore-sweep: .venv/made
	$(BIN)/python tests/sweeps/restore_sweep.py --report docs/reliability.md

# Interrupts backup, restore, deletion, export and init at every system call. Needs strace;
# TMPDIR=/dev/shm makes it faster.
keeping-sweep: .venv/made
	$(BIN)/python tests/sweeps/keeping_sweep.py --report docs/reliability.md

# Saves the routing table a hundred times in awkward ways while a thousand letters arrive.
edit-sweep: .venv/made
	$(BIN)/python tests/sweeps/edit_sweep.py

# Kills what tells people of unacknowledged letters at each of its steps.
ladder-sweep: .venv/made
	$(BIN)/python -m tests.sweeps.ladder_sweep --report docs/reliability.md

# Lets 10,000 dialogs of all kinds come in bad times, by a bell that lies.
dialog-sweep: .venv/made
	$(BIN)/python -m tests.sweeps.dialog_sweep --report docs/reliability.md

# The package for Debian 12 and 13, in dist/. Needs dpkg-deb.
deb: .venv-wheel/made
	packaging/debian/build.sh

# Tests the package and the service in complete Debian 12 and 13 systems. Needs root, debootstrap and
# systemd-nspawn; takes some minutes.
system-test: deb
	$(BIN)/python tests/system/run.py

# Renews the lock files; needs uv. Extras stay in them because pip before 23.3 does not accept a pin
# without the extra for a requirement that has it.
lock:
	uv pip compile pyproject.toml --no-strip-extras --universal --generate-hashes --no-header --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --no-strip-extras --group dev --universal --generate-hashes --no-header --quiet --output-file requirements-dev.lock
	uv pip compile pyproject.toml --no-strip-extras --extra pdf --extra postgresql --extra s3 --extra sftp --extra smb --extra soap --extra web --universal --generate-hashes --no-header --quiet --constraint requirements-dev.lock --output-file packaging/debian/requirements.lock

# Renews the files of others that the page serves, and axe for its tests; needs npm.
vendor:
	$(PYTHON) packaging/vendor.py

# Collects the page's words from its code and templates, and compiles the translations.
words: .venv/made
	$(BIN)/python packaging/words.py

# Makes the pictures of the page in docs/pictures, from the demo. Needs a browser.
pictures: .venv/made
	$(BIN)/python packaging/pictures.py

clean:
	rm -rf .venv .venv-wheel dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
