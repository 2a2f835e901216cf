"""What every Ray that we start, or join, is told before it is imported."""

from __future__ import annotations

#: Of every Ray that we start: no call home, the interpreter that runs us for the workers too, and GPUs as they are;
#: workers stay for the next stage or command, where Ray would end them after a second and start others.
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
}
#: Of a Ray on one machine: no pixel travels through it; manifests and summaries do.
OBJECT_STORE_BYTES = 256 * 1024 * 1024
#: Of a job that is stopped; Ray's own 3 s are not enough to land what is in flight.
STOP_WAIT_S = 60
