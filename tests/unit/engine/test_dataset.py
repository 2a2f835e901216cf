"""How what Ray Data raises is told: lost with a node, or wrong, and then why in a line."""

from __future__ import annotations

import pytest
from ray.exceptions import ActorDiedError, ObjectLostError, RayError, RaySystemError

from pixelbrain.engine.dataset import _is_loss, _reason, _reserved
from pixelbrain.engine.plan.pools import Pool
from pixelbrain.errors import WeightsError


class Caused(RayError):
    """With what the worker raised."""

    def __init__(self, cause: BaseException | None, text: str = "") -> None:
        super().__init__(text)
        self.cause = cause


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (RaySystemError("the connection is gone"), True),
        (ActorDiedError(), True),
        (RaySystemError("it died in its creation task"), False),
        (RaySystemError("ModuleNotFoundError: No module named 'mine'"), False),
        (Caused(None, "the function raised"), False),
    ],
)
def test_what_is_lost_with_a_node(error, loss):
    assert _is_loss(error) is loss


def test_a_lost_object_is_a_loss():
    assert _is_loss(ObjectLostError("ff", None, "main"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Caused(WeightsError("no weights")), "no weights"),
        (
            Caused(None, "Traceback\n  ValueError: first\nray.exceptions.RayTaskError: x\nKeyError: 'last'\n"),
            "the workers failed: KeyError: 'last' (--debug shows all of it)",
        ),
        (Caused(None, "...\npixelbrain.errors.ModuleError: it returned 2 rows\n"), "it returned 2 rows"),
        (Caused(None, "nothing named"), "the workers failed: Caused (--debug shows all of it)"),
    ],
)
def test_why_in_a_line(error, said):
    assert _reason(error) == said


def test_an_actor_reserves_what_its_pool_says():
    pool = Pool(name="a", min_actors=1, max_actors=1, cpus=1, memory_bytes=5, labels={"tier": "spot"})
    assert _reserved(pool) == {"memory": 5, "label_selector": {"tier": "spot"}}
    assert _reserved(Pool(name="a", min_actors=1, max_actors=1, cpus=1)) == {}
