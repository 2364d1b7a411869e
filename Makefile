# The two commands of the README are `make run` and `make test`. Everything lives in .venv and run/.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What the system tests use; `make test` installs them where it may and names what it skipped where not.
DEBIAN_PACKAGES := postgresql prometheus prometheus-alertmanager openssh-server rsync systemd iproute2 nftables libfaketime tcsh jq curl
# The pages' tests; a node or a chromium from elsewhere does as well.
DEBIAN_PACKAGES += $(if $(shell command -v npm),,nodejs npm) $(if $(shell command -v chromium-headless-shell chromium),,chromium-headless-shell)
PAGES := plugins/ringrift_airflow/ui
# What `make test-stack` uses beside them.
STACK_PACKAGES := redis-server tini
# By environment, so that they hold for the build tools as well; which of the two does depends on pip's version.
CONSTRAINED := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
# A person's pip may install for the user by default, which a virtual environment refuses.
export PIP_USER := 0
# Container images may set it; without compiled modules each process of the tests compiles all of them again.
unexport PYTHONDONTWRITEBYTECODE
# Python 3.11 reads the list of an editable install's folders in the locale's encoding: umlauts need UTF-8.
ifneq ($(shell locale charmap 2>/dev/null),UTF-8)
export LC_ALL := C.UTF-8
endif
# The files of the tests go to a process each as they come, in their order: tests/conftest.py has the long ones first. What
# several tests of a file share is made once. One process more than cores, since a third of the time is waiting for servers.
PROCESSES := $(shell n=$$(($$(nproc) + 1)); echo $$((n < 4 ? n : 4)))
SIDE_BY_SIDE := --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder
export RINGRIFT_HOME ?= $(CURDIR)/run

.PHONY: run test test-stack lint pytest sabotage bench clean debian-packages node-packages pages

# make run FRESH=1 begins a new run from nothing instead of with the champions that come with the package.
run: $(STAMP)
	@exec $(BIN)/ringrift-loop up $(if $(filter-out 0 no,$(FRESH)),--fresh) $(ARGS)

test: $(STAMP) debian-packages node-packages lint pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: $(STAMP)
	$(BIN)/ringrift-loop engine compile
	$(BIN)/pytest $(SIDE_BY_SIDE) $(ARGS)

# docker-compose.yaml in namespaces, to its first champion and through kill -9 of its parts; a quarter of an hour, as root.
test-stack: DEBIAN_PACKAGES += $(STACK_PACKAGES)
test-stack: $(STAMP) debian-packages
	@$(CONSTRAINED) $(BIN)/pip install -qq --disable-pip-version-check -e '.[train,airflow,postgres,production,dev]'
	$(BIN)/ringrift-loop engine compile
	$(BIN)/pytest -m stack -s tests/integration/test_production_stack.py $(ARGS)

# Puts each of the small faults of tests/sabotage/edits.toml into a copy of the tree: the tests named there must notice.
sabotage: $(STAMP) node-packages
	@cd tests && ../$(BIN)/python -m sabotage $(ARGS)

# What the endpoints' types and the browser's bundle are made of; both are committed, so nobody needs node to run the loop.
pages: $(STAMP) node-packages
	cd $(PAGES) && npm run generate && npm run check && npm run build

# Left out: tune_heuristic.py, duel.py, family.py, twelve.py and curves.py want to be told what to compare, airflow_share.py wants
# root, pages.py a browser, the others run half an hour.
bench: $(STAMP)
	@for file in $(filter-out benchmarks/tune_% benchmarks/soak% benchmarks/duel.py benchmarks/family.py benchmarks/twelve.py benchmarks/curves% benchmarks/%_live.py benchmarks/airflow_share.py benchmarks/pages.py,$(wildcard benchmarks/*.py)); do \
	  echo "== $$file"; $(BIN)/python $$file $(ARGS) || exit 1; \
	done

# Only what tools made; the run directory with its games and models stays.
clean:
	rm -rf $(VENV) $(PAGES)/node_modules .sabotage dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find include plugins dags tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; name another with: make run PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "no virtual environment could be made: on Debian, apt-get install python3-venv"; exit 1; }
	@echo "Installing the pinned dependencies into $(VENV); once, a few minutes"
	@$(CONSTRAINED) $(BIN)/pip install -qq --disable-pip-version-check -e '.[train,airflow,postgres,dev]'
	@touch $(STAMP)

debian-packages:
	@missing=""; for package in $(DEBIAN_PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Debian packages for the system tests:$$missing"; \
	  apt-get update -qq >/dev/null 2>&1; \
	  apt-cache show chromium-headless-shell >/dev/null 2>&1 || missing=$${missing/chromium-headless-shell/chromium}; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null 2>&1 && exit 0; \
	fi; \
	echo "!!! SKIPPED: these Debian packages are missing and could not be installed:$$missing"; \
	echo "!!! The system tests that need them are named as skipped below."

node-packages:
	@if ! command -v npm >/dev/null; then \
	  echo "!!! SKIPPED: there is no npm here; the tests that build the pages are named as skipped below."; \
	elif ! cmp -s $(PAGES)/package-lock.json $(PAGES)/node_modules/.installed; then \
	  echo "Installing the pinned packages of the pages into $(PAGES)/node_modules"; \
	  npm ci --silent --prefix $(PAGES) && cp $(PAGES)/package-lock.json $(PAGES)/node_modules/.installed || \
	  echo "!!! SKIPPED: npm could not install them; the tests that build the pages are named as skipped below."; \
	fi
