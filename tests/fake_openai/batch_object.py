"""A batch as its endpoint shows it: validating, in_progress, finalizing, completed; or failed, expired, cancelled."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.fake_openai.batch_lines import ENDPOINT, LineError

__all__ = ["Batch"]

_DAY_S = 86_400


@dataclass
class Batch:
    """One batch; `times` holds the moment of each status that it had."""

    id: str
    input_file_id: str
    metadata: dict[str, str] | None
    status: str = "validating"
    times: dict[str, int] = field(default_factory=dict)
    model: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    tokens: Counter[str] = field(default_factory=Counter)  # input_tokens, output_tokens
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[LineError] = field(default_factory=list)

    def enter(self, status: str) -> None:
        """Have `status` from now on."""
        self.status = status
        self.times[f"{status}_at"] = int(time.time())

    def body(self) -> dict[str, Any]:
        """The Batch object's JSON."""
        created = self.times["validating_at"]
        moments = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": ENDPOINT,
            "model": self.model,
            "errors": {"object": "list", "data": [one.body() for one in self.errors]} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": created,
            "expires_at": created + _DAY_S,
            **{f"{name}_at": self.times.get(f"{name}_at") for name in moments},
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "usage": {
                "input_tokens": self.tokens["input_tokens"],
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": self.tokens["output_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.tokens.total(),
            },
            "metadata": self.metadata,
        }
