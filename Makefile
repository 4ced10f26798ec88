# keepkv: make run, make test, make test-asan, make test-tsan, make bench, make docs

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
export VENV

# Debian packages that the tests run beside: the real servers, tools of the namespaces, a kernel with IPVS
TEST_PACKAGES := redis-server redis-tools keepalived frr ipvsadm nginx-light haproxy iproute2 iptables nftables kmod \
	user-mode-linux tcpdump msmtp-mta unbound

.PHONY: run test test-asan test-tsan bench docs lint build needed packages clients clean

run: build
	mkdir -p data
	$(PY) examples/server.py --bind 127.0.0.1 --port 6379 --dir ./data

build: needed $(VENV)/installed

needed:
	@missing=; \
	command -v gcc >/dev/null || missing="$$missing gcc"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null \
		|| missing="$$missing python3-dev"; \
	if [ -n "$$missing" ]; then echo "missing:$$missing"; echo "apt install$$missing"; exit 1; fi

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip

SOURCES := $(shell find libkv libvrrp libipvs \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.py' \) 2>/dev/null)

# an editable install, its extensions built in place: the examples and the tests run on the tree itself
$(VENV)/installed: $(VENV)/bin/python setup.py pyproject.toml $(SOURCES)
	$(PY) -m pip install -q "setuptools>=77" "Cython>=3.1,<4"
	$(PY) -m pip install -q --no-build-isolation -e '.[test]'
	touch $@

# as root, installs what is missing without starting the services; otherwise, or when that fails, says what is missing
packages:
	@missing=; for p in $(TEST_PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		policy=/usr/sbin/policy-rc.d; \
		if [ ! -e $$policy ]; then \
			trap "rm -f $$policy" EXIT; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; fi; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends $$missing && missing=; \
	fi; \
	for p in $$missing; do echo "missing Debian package $$p: tests that need it are skipped by name"; done

# the clients in Node that the tests run, in the versions that their lock file pins; not `npm ci`, which wants the optional
# packages of every platform in the lock file
NODE := tests/oracle/clients/node
$(NODE)/node_modules: $(NODE)/package-lock.json
	@if command -v npm >/dev/null && cd $(NODE) && \
		npm install --no-save --omit=optional --ignore-scripts --no-audit --no-fund; then touch node_modules; \
	else echo "missing npm, or its packages: tests of clients in Node are skipped by name"; fi

clients: packages
	@$(MAKE) --no-print-directory $(NODE)/node_modules

test: build packages clients
	tests/run

test-asan: needed packages clients $(VENV)/installed
	tests/run --sanitize address,undefined

test-tsan: needed $(VENV)/installed
	tests/run --sanitize thread

bench: build packages
	$(PY) -m benchmarks
	$(PY) docs/build/all.py

docs: build
	$(PY) docs/build/all.py

lint: build
	PATH=$(abspath $(VENV))/bin:$$PATH; ruff check . && ruff format --check . && cython-lint libkv libvrrp libipvs

clean:
	rm -rf build dist *.egg-info $(VENV)
	find libkv libvrrp libipvs -name '*.so' -delete
