"""The server itself: which addresses it listens on, and the command in a process of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli

_PROGRAM = """
import sys
from pixelbrain.cli.main import main
try:
    main()
finally:
    heavy = ["torch", "torchvision", "ray", "chromadb", "pymongo", "pandas", "sklearn", "scipy", "boto3", "onnxruntime"]
    print("of it", [one for one in heavy if one in sys.modules], flush=True)
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--host", "192.0.2.1"], "--token"),
        (["--token", "short"], "can be guessed"),
        (["--host", "192.0.2.1", "--token", "x" * 20], "cannot listen on"),
        (["--host", "no such host", "--token", "x" * 20], "no address of this machine"),
    ],
)
def test_it_listens_for_others_only_with_a_token_that_holds(out, words, told):
    done = CliRunner().invoke(cli, ["open", str(out), "--no-browser", *words])
    assert done.exit_code == 2 and told in done.output


def test_an_out_that_is_none_is_an_error_at_once(tmp_path):
    done = CliRunner().invoke(cli, ["open", str(tmp_path), "--no-browser"])
    assert done.exit_code == 1 and "nothing has landed" in done.output


def test_the_command_serves_this_machine_and_ends_by_ctrl_c(out: Path, tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        done = CliRunner().invoke(cli, ["open", str(out), "--no-browser", "--port", str(busy)])
        assert done.exit_code == 2 and "--port 0" in done.output
    words = ["open", str(out), "--no-browser", "--port", "0"]
    program = [sys.executable, "-c", _PROGRAM, *words]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            address = process.stdout.readline().split()[1]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", address)
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
            assert "Go on" in browser.open(address, timeout=60).read().decode()
            reply = browser.open(address.partition("?")[0] + "people", timeout=60)
            assert "Who is it?" in reply.read().decode() or "Reading" in reply.read().decode()
            assert reply.headers["server"] is None
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=60)
            assert process.returncode == 0 and "Traceback" not in errors, errors
            assert "of it []" in said
        finally:
            process.kill()
