# Two commands: `make demo` shows what Cairn does on real input, `make test` runs every test.
# `make demo-log` shows the log below, `make demo-witnesses` what witnesses are for.
# All install what is missing. They build RocksDB into ~/.cache/cairn, once a machine, the rest into target/.
.PHONY: help demo demo-log demo-witnesses test test-page test-clients build

help:
	@echo "make demo             build, start a server, import real events, search them, prove them offline"
	@echo "make demo-log         the log below: receipts, batch proofs, consistency"
	@echo "make demo-witnesses   one log, three witnesses, and what happens when the log lies"
	@echo "make test             run every test"
	@echo "make test-page        run the tests of verify.html, in Node and in Chromium"
	@echo "make test-clients     run the server with clients that others wrote"
	@echo "make build            release binaries: cairn-server, cairn-witness and cairn, in bin/"

demo:
	@scripts/demo

demo-log:
	@scripts/demo-log

demo-witnesses:
	@scripts/demo-witnesses

test:
	@scripts/test

test-page:
	@scripts/test-page

test-clients:
	@scripts/test-clients

build:
	@scripts/build
