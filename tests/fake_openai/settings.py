"""Everything about the fake that a test can set, at its start or, through /control, while it runs."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from typing import Any

from tests.fake_openai.profiles import PROFILES

__all__ = ["Settings", "add_options", "change"]

#: How a request's tokens count against TPM, from its prompt tokens (text and images) and its max_completion_tokens:
#: documented: the larger of the two, for the whole window (OpenAI's guide on rate limits);
#: reserved: their sum, for the whole window (what users see OpenAI's headers do);
#: used: their sum until the answer is there, then its real usage (kinder than the real one).
TPM_COUNTS = ("documented", "reserved", "used")


@dataclass
class Settings:
    """The server's settings; 0 means no limit."""

    rpm: int = 0  # requests a minute and model; with 0 no such limit, and no header about it
    tpm: int = 0  # tokens a minute and model
    window_s: float = 60.0  # the sliding window's length; a shorter one allows proportionally less in it
    tpm_counts: str = "documented"
    limit_retry_after: bool = True  # whether the 429 of a limit says Retry-After
    latency_ms: float = 0.0  # from a request's arrival to its answer
    jitter_ms: float = 0.0  # uniform, around latency_ms
    seed: int = 0  # of jitter, and of the order of a batch's output
    max_image_mb: float = 20.0  # decoded from base64, or downloaded
    max_body_mb: float = 50.0  # of a request's JSON; fixed at the start
    max_file_mb: float = 200.0
    max_batch_lines: int = 50_000
    enqueued_tokens: int = 0  # prompt tokens a model may have in unfinished batches
    batch_validate_s: float = 0.05
    batch_line_s: float = 0.0  # a line's processing time
    batch_finalize_s: float = 0.05
    thinks: int = 0  # tokens of thought before an answer; where they do not fit, there is none
    profile: str = "openai"  # whose dialect the chat endpoint speaks, see profiles.py

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = type(field.default)
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                setattr(self, field.name, value := float(value))
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise ValueError(f"{field.name} is {value!r}, not {kind.__name__}")
            if kind in (int, float) and value < 0:
                raise ValueError(f"{field.name} is {value!r}, below 0")
        if self.tpm_counts not in TPM_COUNTS:
            raise ValueError(f"tpm_counts is {self.tpm_counts!r}, not one of {', '.join(TPM_COUNTS)}")
        if self.profile not in PROFILES:
            raise ValueError(f"profile is {self.profile!r}, not one of {', '.join(PROFILES)}")
        if not self.window_s:
            raise ValueError("window_s is 0")

    def in_window(self, per_minute: int) -> int | None:
        """What one window allows of a limit a minute, rounded down; None for no limit."""
        return int(per_minute * self.window_s / 60) if per_minute else None


def change(settings: Settings, values: dict[str, Any]) -> None:
    """Set `values` in place, all or none; raises ValueError for an unknown name or a value that can't be."""
    known = {field.name for field in dataclasses.fields(Settings)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"no such setting: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    checked = dataclasses.replace(settings, **values)
    for name in values:
        setattr(settings, name, getattr(checked, name))


def add_options(parser: argparse.ArgumentParser) -> None:
    """One option a setting: `--window-s 6`, `--no-limit-retry-after`."""
    for field in dataclasses.fields(Settings):
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=type(field.default), default=field.default)
