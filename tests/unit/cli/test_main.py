"""Each command has a help text with an example; errors are one line with a code; flags win over the file."""

from __future__ import annotations

import click
import pytest
import yaml
from click.testing import CliRunner

from pixelbrain.cli.main import cli
from pixelbrain.cli.tag_identity import tag_identity


def commands(group: click.Group, path: tuple[str, ...] = ()):
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(cli))


SHARED = "--quiet --debug"
STORES = "--s3-endpoint --mongo --chroma"
PLANNED = (
    "source --out --module --classifier --classes --top-k --min-label-score --embedder --turns --strategy "
    "--clip-model --labels --label-template --weights-dir "
    "--offline --device --layout --actors --gpus-per-actor --cpus-per-actor --node-labels --autoscale --executor "
    f"--address {STORES} --column --where --hidden --limit --max-megapixels --retry-failed --force "
    "--prune --prune-gone-source --thumbnails --config"
)
EXTRACTED = PLANNED.replace(" --min-label-score", "").replace(" --strategy", "").replace(" --mongo --chroma", "")
#: What each command takes, in the order of its help: nothing is lost where options are derived and shared.
SAYING = "--as --s3-endpoint --mongo"
TAKEN = {
    "ask": "out --question --field --answer --where --model --detail --rpm --tpm --budget --prices --concurrency "
    "--actors --provider --base-url --api-version --token-limit --response-format --send-detail --send-temperature "
    "--header --image-urls --max-output-tokens --max-wait --limit --batch --wait --cancel --dry-run --config "
    "--strict --max-megapixels --address --mongo",
    "cluster down": "--local",
    "cluster status": "--local --json",
    "cluster up": "--local --dashboard --num-cpus --num-gpus",
    "compact": "out --s3-endpoint",
    "demo": "--out",
    "export": "out file --table --min-label-score --format --root --shard-size --where --s3-endpoint",
    "extract": f"{EXTRACTED} --print-config --strict",
    "forget": f"out --person --face --photo --again --list --lift --dry-run --yes --json {STORES}",
    "group": f"out --threshold --by --where --json {STORES}",
    "duplicates": "out --bits --similarity --burst --vectors --csv --json --s3-endpoint",
    "map": "out --by --seed --json --s3-endpoint",
    "evaluate": "out --folders --labels --nobody --strategy --curve --calibrate --json --s3-endpoint",
    "identify": f"out --strategy --threshold --rebuild --address --json {STORES}",
    "load": f"out {STORES} --rebuild",
    "open": "out --port --browser --read-only --host --token --min-label-score --max-megapixels --mongo --s3-endpoint",
    "people apart": f"out person other {SAYING}",
    "people later": f"out person other {SAYING}",
    "people assign": f"out person face --new {SAYING}",
    "people export": "out to --unnamed --hidden --s3-endpoint",
    "people hide": f"out person {SAYING}",
    "people history": "out --json --s3-endpoint",
    "people import": f"out source --dry-run {SAYING}",
    "people list": "out --hidden --json --s3-endpoint",
    "people merge": f"out person {SAYING}",
    "people name": f"out person name {SAYING}",
    "people reject": f"out face {SAYING}",
    "people show": "out person_or_face -k --json --s3-endpoint",
    "people split": f"out person face --name {SAYING}",
    "people suggest": "out -k --crops --json --s3-endpoint",
    "people unassign": f"out face {SAYING}",
    "people undo": f"out event {SAYING}",
    "people unhide": f"out person {SAYING}",
    "plan": f"{PLANNED} --json",
    "report": "out --min-label-score --max-megapixels --s3-endpoint",
    "run": f"{PLANNED} --print-config --strict",
    "search": "out --image --text --person --faces --embedder --clip-model --similar --by --module -k --where --json "
    "--max-megapixels --chroma --s3-endpoint",
    "status": f"out --json {STORES}",
    "submit": "--address --working-dir --runtime-env --wait --job-id --follow words",
    "tag-identity": "--data_path --export --database_id --identity_field_name --identifying_strategy --rm --embedder "
    "--apply_people_detector --base_url --weights_dir --offline --max_megapixels --executor --address",
    "verify": f"out --repair --json {STORES}",
    "weights fetch": "names --weights-dir",
    "weights list": "--weights-dir --json",
    "weights verify": "--weights-dir --json",
}


def run(*args: str):
    return CliRunner().invoke(cli, args)


def test_all_commands_are_there():
    names = {path[0] for path in ALL}
    assert names == {
        "demo", "run", "extract", "ask", "load", "identify", "evaluate", "forget", "group", "duplicates", "report",
        "export", "search", "status", "verify", "compact", "tag-identity", "weights", "plan", "cluster", "submit",
        "people", "open", "map",
    }  # fmt: skip
    assert {path[1] for path in ALL if path[0] == "weights" and len(path) > 1} == {"list", "fetch", "verify"}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_and_an_example(path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert ALL[path].help and ALL[path].short_help
    assert "Examples:" in result.output
    shown = " ".join(path)
    assert f"pixelbrain {shown}" in result.output or "tag_identity --" in result.output


def test_every_command_takes_what_it_took():
    taken = {
        " ".join(path): " ".join(parameter.opts[0] for parameter in command.params)
        for path, command in ALL.items()
        if not isinstance(command, click.Group)
    }
    assert taken == {name: f"{words} {SHARED}" for name, words in TAKEN.items()}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_has_help(path):
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_file_is_merged_and_flags_win(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text("classifier: resnet18\ntop_k: 3\nmongo: mongodb://me:hunter2@db/x\n")
    result = run(
        "run", "photos", "--out", "o", "--config", str(file), "--top-k", "7", "--classes", 'tabby,"tiger cat"',
        "--print-config",
    )  # fmt: skip
    assert result.exit_code == 0
    shown = yaml.safe_load(result.output)
    assert (shown["classifier"], shown["top_k"], shown["classes"]) == ("resnet18", 7, ["tabby", "tiger cat"])
    assert shown["source"] == "photos" and "hunter2" not in result.output


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["run"], 2, "Missing SOURCE"),
        (["run", "photos"], 2, "Missing --out"),
        (["run", "photos", "--out", "o", "--classifier", "vgg"], 2, "is not one of"),
        (["extract", "photos", "--out", "o", "--config", "absent.yaml"], 2, "cannot read the config"),
        (["run", "photos", "--out", "o", "--mongo", "localhost"], 2, "it starts with mongodb://"),
        (["extract", "photos", "--out", "o", "--mongo", "mongodb://localhost"], 2, "No such option '--mongo'"),
        (["status", "absent"], 1, "nothing has landed in"),
        (["export", "absent", "x.csv"], 1, "nothing has landed in"),
        (["extract", "absent", "--out", "o", "--offline"], 1, "no such file or folder"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_errors_are_one_line_with_a_code(args, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert result.exit_code == code, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert len([line for line in result.output.splitlines() if line.startswith("Error")]) == 1


def test_debug_shows_the_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("status", "absent", "--debug")
    assert result.exit_code == 1 and "Traceback" in result.output


def test_tag_identity_has_the_flags_of_its_predecessor():
    result = CliRunner().invoke(tag_identity, ["-h"])
    assert result.exit_code == 0
    for flag in ("--data_path", "--export", "--database_id", "--identity_field_name", "--identifying_strategy", "--rm"):
        assert flag in result.output
    assert "[average|dbscan|pairwise]" in result.output
