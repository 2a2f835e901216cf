"""Download one file over HTTP to a temporary name, check it, and only then give it its name."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from pixelbrain.errors import WeightsError

_CHUNK_BYTES = 1 << 18
_CONNECT_S = 5.0
_SILENCE_S = 30.0  # until the next bytes
#: A transfer slower than this over `_PACE_WINDOW_S` is given up: bytes that trickle never hit a read timeout.
_LEAST_BYTES_PER_S = 1024
_PACE_WINDOW_S = 30.0


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None,
    size_bytes: int | None,
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Download `url` (http or https) to `path`, whole and checked, or not at all; nothing else is left there.

    Args:
        url: redirects are followed, and the usual proxy variables hold.
        path: its folder is made.
        sha256: what the content's must be, as hex; None: not checked.
        size_bytes: what the content's size must be; None: the server's Content-Length is checked.
        progress: called with the bytes had so far and the total, or None where nobody says.

    Raises:
        WeightsError: unreachable, refused, too slow, truncated, not what it should be, or not writable; the
            reason alone, without the ways out.
    """
    import requests
    import urllib3

    # unique, so that two actors of one machine may fetch the same file; the last rename wins
    part = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    done, total = 0, size_bytes
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            requests.get(
                url,
                stream=True,
                timeout=(_CONNECT_S, _SILENCE_S),
                headers={"Accept-Encoding": "identity"},  # sizes are of the bytes as they travel
            ) as response,
            open(part, "xb") as file,
        ):
            if response.status_code != requests.codes.ok:
                raise WeightsError(f"{url} answered {response.status_code} {response.reason}")
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else size_bytes
            if size_bytes is not None and total != size_bytes:
                raise WeightsError(f"{url} offers {total:,} bytes instead of {size_bytes:,}")
            digest = hashlib.sha256()
            since, had = time.monotonic(), 0
            while chunk := response.raw.read1(_CHUNK_BYTES):  # what has arrived: read() would wait for all of it
                done += len(chunk)
                if total is not None and done > total:
                    raise WeightsError(f"{url} sent more than its {total:,} bytes")
                file.write(chunk)
                digest.update(chunk)
                if progress:
                    progress(done, total)
                if (elapsed_s := time.monotonic() - since) >= _PACE_WINDOW_S:
                    if done - had < _LEAST_BYTES_PER_S * elapsed_s:
                        raise WeightsError(f"{url} sends less than {_LEAST_BYTES_PER_S} bytes/s")
                    since, had = time.monotonic(), done
        if total is not None and done != total:
            raise WeightsError(f"{url} {_ended(done, total)}")
        if sha256 is not None and digest.hexdigest() != sha256:
            raise WeightsError(f"{url} has sha256 {digest.hexdigest()} instead of {sha256}")
        os.replace(part, path)
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise WeightsError(f"{url} did not answer within {_CONNECT_S:g} s, or paused for {_SILENCE_S:g} s") from None
    except requests.ConnectionError:
        raise WeightsError(f"{url} cannot be reached") from None
    except urllib3.exceptions.ProtocolError:
        raise WeightsError(f"{url} {_ended(done, total)}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise WeightsError(f"{url}: {type(error).__name__}: {error}") from None
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        if part.exists():
            part.unlink()


def _ended(done: int, total: int | None) -> str:
    return f"ended after {done:,} bytes" if total is None else f"ended after {done:,} of {total:,} bytes"
