# Two commands do everything: `make demo` and `make test`. Each makes its environment first, if that is missing or old.

PYTHON ?= python3
BIN := .venv/bin
WHEEL_BIN := .venv-wheel/bin

.PHONY: demo test check journeys coverage bench crash-sweep power-cut drop-reader restore-sweep keeping-sweep edit-sweep deb system-test lock clean

demo: .venv/made
	$(BIN)/postmottak demo

test: check journeys

# Every gate on the checkout.
#
# The journeys run against the wheel only, as it would be installed.
check: .venv/made
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 tests/unit tests/connectors tests/contracts tests/sweeps

# Which lines and branches the tests reach; not a part of the tests, because nothing depends on it and to watch them takes time.
coverage: .venv/made
	$(BIN)/pytest --numprocesses 2 --cov --cov-report=term:skip-covered tests/unit tests/connectors tests/contracts

# Whole journeys: the installed command line as child processes, which wait a good deal; so three at a time.
journeys: .venv-wheel/made
	POSTMOTTAK=$(CURDIR)/$(WHEEL_BIN)/postmottak $(BIN)/pytest --numprocesses 3 tests/journeys

.venv/made: requirements-dev.lock pyproject.toml postmottak.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Postmottak needs Python 3.11 or later; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

SOURCES := $(shell find daemon connectors postmottak.py -name '*.py' -o -name '*.wsdl') config/postmottak.example.toml pyproject.toml README.md

.venv-wheel/made: .venv/made requirements.lock $(SOURCES)
	rm -rf dist
	$(BIN)/python -m build --quiet --no-isolation
	$(PYTHON) -m venv --clear .venv-wheel
	$(WHEEL_BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(WHEEL_BIN)/pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	touch $@

# Time and memory, beside programs that do less; takes some ten minutes, and writes docs/performance.md.
#
# BENCH names the parts, if not all are wanted: throughput latency memory stored waiting idle routing.
bench: .venv/made
	$(BIN)/python -m benchmarks $(BENCH)

# Proofs that take long; each writes its last result into docs/reliability.md.

# Strikes every system call that matters, three times each; needs strace. TMPDIR=/dev/shm makes it quicker.
crash-sweep: .venv/made
	$(BIN)/python tests/sweeps/crash_sweep.py --report docs/reliability.md

# Cuts the power under the service, on file systems of its own; needs root and loop devices.
power-cut: .venv/made
	$(BIN)/python tests/sweeps/power_cut.py --report docs/reliability.md

# A consumer that reads each drop at once, while the service is killed.
drop-reader: .venv/made
	$(BIN)/python tests/sweeps/drop_reader.py --report docs/reliability.md

# Loses the store of an installation at work, and restores a backup, with a thousand letters; some minutes.
restore-sweep: .venv/made
	$(BIN)/python tests/sweeps/restore_sweep.py --report docs/reliability.md

# Strikes backup, restore, deletion, export and init at every system call; needs strace. TMPDIR=/dev/shm makes it quicker.
keeping-sweep: .venv/made
	$(BIN)/python tests/sweeps/keeping_sweep.py --report docs/reliability.md

# Saves the routing table a hundred times in the worst ways while a thousand letters arrive.
edit-sweep: .venv/made
	$(BIN)/python tests/sweeps/edit_sweep.py

# A package for Debian 12 and 13, in dist/; needs dpkg-deb.
deb: .venv-wheel/made
	packaging/debian/build.sh

# The package and the service in whole Debian systems, 12 and 13; needs root, debootstrap and systemd-nspawn, and takes some minutes.
system-test: deb
	$(BIN)/python tests/system/run.py

# Renew the lock files; needs uv. Extras stay in them, because pip before 23.3 does not take a pin without its extra for one with it.
lock:
	uv pip compile pyproject.toml --no-strip-extras --universal --generate-hashes --no-header --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --no-strip-extras --group dev --universal --generate-hashes --no-header --quiet --output-file requirements-dev.lock
	uv pip compile pyproject.toml --no-strip-extras --extra pdf --extra s3 --extra sftp --extra smb --extra soap --universal --generate-hashes --no-header --quiet --constraint requirements-dev.lock --output-file packaging/debian/requirements.lock

clean:
	rm -rf .venv .venv-wheel dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
