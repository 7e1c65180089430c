# Two commands: `make demo` shows what Cairn does on real input, `make test` runs every test.
# `make demo-witnesses` shows what witnesses are for.
# All install what is missing. They build RocksDB into ~/.cache/cairn, once a machine, the rest into target/.
.PHONY: help demo demo-witnesses test test-page build

help:
	@echo "make demo             build, start a server, append real events, verify them offline"
	@echo "make demo-witnesses   one log, three witnesses, and what happens when the log lies"
	@echo "make test             run every test"
	@echo "make test-page        run the tests of verify.html, in Node and in Chromium"
	@echo "make build            release binaries: cairn-server, cairn-witness and cairn, in bin/"

demo:
	@scripts/demo

demo-witnesses:
	@scripts/demo-witnesses

test:
	@scripts/test

test-page:
	@scripts/test-page

build:
	@scripts/build
