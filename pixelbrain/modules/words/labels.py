"""Labels of the user's own, out of which CLIP chooses: what each is, in prompts, and what a photo is if none fits.

One a line: `dog`, whose prompt is made by the template; `beach = a photo taken on a beach`, a prompt of one's own, and
of several for one label their mean counts; `= a scanned document`, what a photo may be instead of any of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixelbrain.errors import ConfigError

#: OpenAI's own for ImageNet, without which labels of a word fare worse (Radford et al. 2021, 3.1.4).
TEMPLATE = "a photo of a {}."
#: What says nothing of what a photo shows: a label that fits no better than it does not fit.
NOTHING = ("a photo.",)


class Labels:
    """What there is to choose from."""

    def __init__(self, labels: Sequence[str] | str | Path, template: str = TEMPLATE) -> None:
        """Read lines as above, or a file of them; empty ones and those that begin with # say nothing.

        Raises `ConfigError`.
        """
        lines = _read(Path(labels).expanduser()) if isinstance(labels, (str, Path)) else labels
        if "{}" not in template:
            raise ConfigError(f"label_template is {template!r}: it holds {{}}, for the label")
        found: dict[str, list[str]] = {}
        for line in lines:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            label, there, prompt = (part.strip() for part in line.partition("="))
            if there and not prompt:
                raise ConfigError(f"labels: {line.strip()!r} has no prompt behind its =")
            prompts = found.setdefault(label, [])
            if (prompt := prompt or template.replace("{}", label)) not in prompts:
                prompts.append(prompt)
        #: What a photo may be instead, a prompt each.
        self.instead: list[str] = sorted(found.pop("", NOTHING))
        #: The prompts of each label.
        self.prompts = {label: sorted(found[label]) for label in sorted(found)}
        if not self.prompts:
            raise ConfigError(
                "there are no labels: --labels FILE has one a line, such as dog, or beach = a photo taken on a beach"
            )

    def lines(self) -> list[str]:
        """The same for the same labels and prompts, in whatever order they were written: for settings."""
        labels = [f"{label} = {prompt}" for label, prompts in self.prompts.items() for prompt in prompts]
        return labels + [f"= {prompt}" for prompt in self.instead]

    def all_prompts(self) -> list[str]:
        """Each label's, and then what it may be instead."""
        return [prompt for prompts in self.prompts.values() for prompt in prompts] + self.instead


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read the labels {path}: it is no text in UTF-8; save it as that") from None
    except OSError as error:
        raise ConfigError(f"cannot read the labels {path}: {error.strerror or error}") from None
