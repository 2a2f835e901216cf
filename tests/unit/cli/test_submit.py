"""`pixelbrain submit` parses what it sends: a slip is an error here, and not in ten minutes on the cluster."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.cli.submit import _take_address

NOWHERE = "http://127.0.0.1:1"  # nobody listens: what comes so far was checked and found good


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "PIXELBRAIN_MONGO", "PIXELBRAIN_CHROMA"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "colour.py").write_text("")
    (tmp_path / "pipeline.yaml").write_text("source: s3://bucket/in\nout: s3://bucket/out\n")
    (tmp_path / "secret.yaml").write_text("source: s3://b/in\nout: s3://b/out\nmongo: mongodb://me:hunter2@db/x\n")
    (tmp_path / "starred.yaml").write_text("source: s3://b/in\nout: s3://b/out\nmongo: mongodb://db/a***b\n")
    (tmp_path / "wrong.yaml").write_text("classifer: resnet18\n")
    return tmp_path


def submit(*words: str, **env: str):
    return CliRunner().invoke(cli, ["submit", *words], env=env)


@pytest.mark.parametrize(
    "words",
    [
        ["extract", "s3://b/in", "--out", "s3://b/out"],
        ["run", "/shared/photos", "--out", "/shared/out", "--mongo", "mongodb://db/x"],
        ["--working-dir", ".", "run", "--config", "pipeline.yaml"],
        ["--working-dir", ".", "extract", "s3://b/in", "--out", "/o", "--module", "colour:Colour"],
        ["extract", "--config", "/on/the/nodes.yaml"],
        ["--working-dir", ".", "run", "--config", "starred.yaml"],
        ["ask", "s3://b/out", "--question", "Is it at http://x:1 @ noon?", "--field", "f"],
        ["load", "s3://b/out", "--chroma", "http://chroma:8000"],
        ["identify", "/shared/out", "--strategy", "dbscan"],
    ],
    ids=" ".join,
)
def test_what_can_be_sent_is_sent(words):
    for sent in ([*words, "--address", NOWHERE], [*words, f"--address={NOWHERE}"], ["--address", NOWHERE, *words]):
        result = submit(*sent)
        assert result.exit_code == 1, result.output
        assert f"no dashboard answers at {NOWHERE}" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Give a COMMAND to submit, or --follow ID"),
        (["--", "--address", NOWHERE], "Give a COMMAND to submit, or --follow ID"),
        (["frobnicate"], "'frobnicate' is none of the commands to submit"),
        (["demo"], "'demo' is none of the commands to submit"),
        (["extract", "s3://b/in", "--ou", "s3://b/out"], "No such option '--ou'"),
        (["extract", "s3://b/in", "--out", "s3://b/out", "--classifier", "vgg"], "is not one of"),
        (["run", "s3://b/in", "--out", "s3://b/out", "--mongo", "localhost"], "it starts with mongodb://"),
        (["extract", "--out", "s3://b/out"], "Missing SOURCE"),
        (["extract", "s3://b/in"], "Missing --out"),
        (["extract", "s3://b/in", "--out", "out/"], "OUT is out/: a job's own folder is deleted"),
        (["extract", "photos/", "--out", "/o"], "SOURCE photos/ is on this machine alone"),
        (["extract", "s3://b/in", "photos/", "--out", "/o"], "SOURCE photos/ is on this machine alone"),
        (["--working-dir", ".", "extract", "no/*.jpg", "--out", "/o"], "SOURCE no/ is not in ."),
        (["--working-dir", ".", "extract", "no-{1..2}.tar", "--out", "/o"], "SOURCE no-1.tar is not in ."),
        (["extract", "--config", "pipeline.yaml"], "--config pipeline.yaml is on this machine alone"),
        (["--working-dir", ".", "extract", "--config", "wrong.yaml"], "did you mean classifier?"),
        (["--working-dir", ".", "run", "--config", "secret.yaml"], "holds a secret in mongo"),
        (["extract", "s3://b/in", "--out", "/o", "--module", "colour:Colour"], "colour.py is on this machine alone"),
        (["load", "s3://b/out", "--mongo", "mongodb://me:hunter2@db/x"], "set PIXELBRAIN_MONGO in the nodes'"),
        (["load", "s3://b/out", "--chroma", "http://me:hunter2@db:1"], "set PIXELBRAIN_CHROMA in the nodes'"),
        (["load"], "Missing argument 'OUT'"),
        (["load", "s3://b/out"], "where to? --address http://HOST:8265"),
        (["load", "s3://b/out", "--address"], "'--address' requires an argument"),
        (["load", "s3://b/out", "--address", "ray://h:1"], "is no dashboard's address"),
        (["--runtime-env", "absent.yaml", "load", "s3://b/out"], "cannot read the runtime environment"),
        (["--follow", "id", "load", "s3://b/out"], "Give a COMMAND to submit, or --follow ID"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(words, said):
    result = submit(*words)
    assert result.exit_code == 2, result.output
    assert said in result.output and "hunter2" not in result.output and "Traceback" not in result.output


def test_a_secret_of_this_shell_neither_travels_nor_disturbs():
    words = ["run", "s3://b/in", "--out", "s3://b/out", "--address", NOWHERE]
    result = submit(*words, PIXELBRAIN_MONGO="mongodb://me:hunter2@db/x")
    assert result.exit_code == 1 and f"no dashboard answers at {NOWHERE}" in result.output


def test_help_behind_a_command_is_the_commands():
    result = submit("extract", "--help")
    assert result.exit_code == 0 and "Usage: cli extract" in result.output


def test_an_address_behind_the_command_is_for_us():
    words = ("extract", "a", "--address", "http://h", "--out", "b", "--", "--address", "c")
    assert _take_address(words) == (["extract", "a", "--out", "b", "--", "--address", "c"], "http://h")
