"""torchvision is imported without torch's compiler, which is there all the same for who wants it."""

from __future__ import annotations

import os
import subprocess
import sys

#: In a process that has imported neither.
PROGRAM = """
import sys, threading
from pixelbrain.images import torchvision as ours

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
import facenet_pytorch, torch, torchvision.models

said = [failed, "torch._dynamo" in sys.modules, "torch._inductor" in sys.modules]
said.append(sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu"))
said.append("torch._dynamo" in sys.modules)
said.append(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist())
ours.import_torchvision()
print(said)
"""


#: A torchvision that wants more of the compiler than ours does, and its torch: what would be said takes seconds else.
ANOTHER = {
    "torch/__init__.py": "",
    "torch/_dynamo/__init__.py": "",
    "torch/_dynamo/utils.py": "is_compile_supported = another = len",
    "torchvision/__init__.py": """
import torch._dynamo
from torch._dynamo.utils import is_compile_supported
try:
    from torch._dynamo.utils import another
except ImportError:
    print("not at first")
    raise
""",
}


def test_the_compiler_is_imported_when_it_is_wanted_and_threads_that_come_together_find_it_whole():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "[[], False, False, True, True, [2.0, 2.0]]\n"


def test_of_a_torchvision_that_wants_more_of_it_the_import_is_as_always(tmp_path):
    for name, text in ANOTHER.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    code = """
import sys
from pixelbrain.images.torchvision import import_torchvision
import_torchvision()
import torch, torchvision
print(torchvision.another is torchvision.is_compile_supported is len, torch._dynamo.__file__)
"""
    around = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=around)
    assert done.stdout.splitlines() == ["not at first", f"True {tmp_path}/torch/_dynamo/__init__.py"]
