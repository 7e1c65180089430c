"""What every test is given: a server of its own."""

import subprocess
import sys
from importlib import resources

import pytest

from harness import BIN, ROOT, Server


@pytest.fixture
def server(tmp_path):
    """A server with fresh logs, ended after the test."""
    assert (BIN / "cairn-server").exists(), f"no cairn-server in {BIN}"
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """The modules that protoc makes of proto/, as anybody would make them."""
    out = tmp_path_factory.mktemp("stubs")
    proto = ROOT / "proto"
    files = [proto / "cairn/log/v1/log.proto", proto / "cairn/audit/v1/audit.proto"]
    included = resources.files("grpc_tools") / "_proto"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto}", f"-I{included}"]
    command += [f"--python_out={out}", f"--grpc_python_out={out}", *files]
    subprocess.run([str(part) for part in command], check=True)
    sys.path.insert(0, str(out))
    yield out
    sys.path.remove(str(out))
