"""What a job must not carry is refused before it is sent, with the way out."""

from __future__ import annotations

import pytest

from pixelbrain.engine.cluster.job_check import check_local_file, check_out, check_secret, read_runtime_env
from pixelbrain.errors import ConfigError


@pytest.mark.parametrize("uri", ["mongodb://me:hunter2@db/x", "http://h/?token=hunter2", "https://me:hunter2@h"])
def test_a_secret_in_a_uri(uri):
    with pytest.raises(ConfigError, match=r"--mongo .*: set PIXELBRAIN_MONGO in the nodes' environment") as refused:
        check_secret("--mongo", uri, "PIXELBRAIN_MONGO")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["mongodb://db/x", "mongodb://me@db/x", "s3://bucket/a@b:c", "Is it 2:1 @ http://x?"])
def test_what_is_no_secret(text):
    check_secret("--mongo", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("env_vars: {OPENAI_API_KEY: x}", "env_vars names OPENAI_API_KEY"),
        ("env_vars: {AWS_SECRET_ACCESS_KEY: x}", "env_vars names AWS_SECRET_ACCESS_KEY"),
        ("env_vars: {DB_PASSWORD: x}", "env_vars names DB_PASSWORD"),
        ("env_vars: {RAY_AUTH_TOKEN: x}", "env_vars names RAY_AUTH_TOKEN"),
        ("env_vars: {PIXELBRAIN_MONGO: x}", "env_vars names PIXELBRAIN_MONGO"),
        ("env_vars: {WHERE: 'mongodb://me:hunter2@db'}", "holds a secret"),
        ("pip: ['--index-url https://me:hunter2@pypi.example']", "holds a secret"),
        ("env_vars: [A]", "it has names and values"),
        ("- a list", "is no runtime environment"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_runtime_environment_that_is_refused(text, said, tmp_path):
    file = tmp_path / "env.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as refused:
        read_runtime_env(file)
    assert "hunter2" not in str(refused.value)


def test_a_runtime_environment_that_is_taken(tmp_path):
    file = tmp_path / "env.yaml"
    file.write_text("pip: [pillow-heif]\nenv_vars: {TOKENIZERS_PARALLELISM: '1', KEYBOARD: x}\n")
    assert read_runtime_env(file)["pip"] == ["pillow-heif"]
    file.write_text("")
    assert read_runtime_env(file) == {}
    with pytest.raises(ConfigError, match="cannot read"):
        read_runtime_env(tmp_path / "absent.yaml")


def test_files_that_stay_behind(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("")
    check_local_file("--config", "pipeline.yaml", str(tmp_path))
    check_local_file("--config", "/on/the/nodes.yaml", None)
    check_local_file("--config", "pipeline.yaml", "s3://bucket/folder.zip")
    with pytest.raises(ConfigError, match=r"--config pipeline.yaml is on this machine alone.*--working-dir"):
        check_local_file("--config", "pipeline.yaml", None)
    with pytest.raises(ConfigError, match="is not in"):
        check_local_file("--config", "other.yaml", str(tmp_path))


def test_out_is_not_in_a_folder_that_ray_deletes():
    check_out("s3://bucket/out")
    check_out("/shared/out")
    with pytest.raises(ConfigError, match="OUT is out/: a job's own folder is deleted"):
        check_out("out/")
