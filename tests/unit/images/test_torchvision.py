"""torchvision is imported without torch's compiler, which is there all the same for who wants it."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: One process that has imported torch, and one that is forked from it: each imports torchvision, and says what it saw.
PROGRAM = """
import contextlib, os, sys, threading
import torch
from pixelbrain.images import torchvision as ours

if os.fork() == 0:
    later = ours._later

    @contextlib.contextmanager
    def with_less():
        with later():
            del sys.modules["torch._dynamo.utils"].is_compile_supported
            yield

    ours._later = with_less
    ours.import_torchvision()
    import torchvision.models
    print("torch._dynamo" in sys.modules, torchvision.models.resnet18 is not None, flush=True)
    os._exit(0)

assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
failed, barrier = [], threading.Barrier(4)


def one():
    barrier.wait()
    try:
        ours.import_torchvision()
        import torchvision.ops, torchvision.models
    except Exception as error:
        failed.append(repr(error))


threads = [threading.Thread(target=one) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
import facenet_pytorch, torchvision.models

said = [failed, "torch._dynamo" in sys.modules, "torch._inductor" in sys.modules]
said.append(sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu"))
said.append("torch._dynamo" in sys.modules)
said.append(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist())
ours.import_torchvision()
print(said)
"""


@pytest.fixture(scope="module")
def said() -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_compiler_is_imported_when_it_is_wanted_and_threads_that_come_together_find_it_whole(said):
    assert said[1:] == ["[[], False, False, True, True, [2.0, 2.0]]"]


def test_of_a_torchvision_that_wants_more_of_it_the_import_is_as_always(said):
    assert said[0] == "True True"
