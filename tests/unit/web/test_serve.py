"""The server itself: which addresses it listens on, and the command in a process of its own."""

from __future__ import annotations

import os
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
from tests.waiting import wait_for

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
    asked = tmp_path / "asked"  # a browser that writes down what it was started with, and what stands there
    program = [sys.executable, "-c", _PROGRAM, "open", str(out), "--port", "0"]
    script = tmp_path / "a-browser"
    script.write_text(f"""#!{sys.executable}
import os, sys, urllib.request
page = urllib.request.urlopen(sys.argv[1])
kept = oct(os.stat(page.url.removeprefix("file://")).st_mode & 0o777)
open("{asked}.part", "w").write(chr(10).join([sys.argv[1], kept, page.read().decode()]))
os.replace("{asked}.part", "{asked}")
""")
    script.chmod(0o700)
    environment = {**os.environ, "BROWSER": str(script)}
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            address = process.stdout.readline().split()[1]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", address)
            wait_for(asked.exists, 60)
            leads, kept, page = asked.read_text().split("\n", 2)
            token = address.partition("token=")[2]
            assert leads.startswith("file:///") and token not in leads and kept == "0o600" and token in page
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
            assert "Go on" in browser.open(address, timeout=60).read().decode()
            reply = browser.open(address.partition("?")[0] + "people", timeout=60)
            assert "Who is it?" in reply.read().decode() or "Reading" in reply.read().decode()
            assert reply.headers["server"] is None
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=60)
            assert process.returncode == 0 and "Traceback" not in errors, errors
            assert "of it []" in said and not Path(leads.removeprefix("file://")).exists()
        finally:
            process.kill()
