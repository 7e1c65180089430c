# Two commands: `make demo` shows what Cairn does on real input, `make test` runs every test.
# Both install what is missing and build into a cache folder outside this checkout.
.PHONY: help demo test build

help:
	@echo "make demo    build, start a server, append real events, verify them offline"
	@echo "make test    run every test"
	@echo "make build   release binaries: cairn-server, cairn-witness and cairn, in bin/"

demo:
	@scripts/demo

test:
	@scripts/test

build:
	@scripts/build
