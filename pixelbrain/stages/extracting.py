"""The passes of an extract: one over all images, and one each for modules that look only at some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pixelbrain.landing.where.language import all_of
from pixelbrain.sources import name_sources
from pixelbrain.stages.wording import tell_extracted

if TYPE_CHECKING:
    from pixelbrain.engine.extract import ExtractReport, FirstLook
    from pixelbrain.modules.base import PipelineModule
    from pixelbrain.stages.context import Context


def extract_passes(
    context: Context,
    modules: Sequence[PipelineModule],
    looked: FirstLook | None,
    progress: Callable[[int, int, int], None] | None,
) -> dict[str | None, ExtractReport]:
    """Run the modules over SOURCE, those behind an expression once what it is about has landed.

    Args:
        context: OUT, SOURCE, and which modules are behind what.
        modules: all of them, in their order.
        looked: the first images of SOURCE.
        progress: hears how far each pass is, in place of the display.

    Returns:
        What each did, by the expression; None: all images. After one that was stopped there is none.
    """
    from pixelbrain.engine.extract import extract
    from pixelbrain.landing.where.names import Chosen, choose_images

    config, behind = context.config, context.behind
    reports: dict[str | None, ExtractReport] = {}
    for where in dict.fromkeys(behind.get(module.name) for module in modules):
        loader = context.loader()
        if where is not None:
            condition = context.read_where(where)
            loader = loader.among(Chosen(choose_images(context.landing, condition)))
        with context.display.stage("extract") as tell:
            reports[where] = extract(
                loader,
                [module for module in modules if behind.get(module.name) == where],
                context.storage,
                placement=config.placement(),
                retry_failed=config.retry_failed,
                force=config.force,
                prune=config.prune and where is None,
                prune_gone_source=config.prune_gone_source and where is None,
                thumbnails=config.thumbnails,
                looked=looked if where is None else None,
                progress=progress or tell,
                debug=context.debug,
            )
        if reports[where].stopped:
            break
    return reports


def tell_passes(context: Context, reports: Mapping[str | None, ExtractReport]) -> None:
    """A line of what each pass did, and warnings."""
    config = context.config
    for where, report in reports.items():
        source, pruned = name_sources(context.loader().source), config.prune or config.prune_gone_source
        tell_extracted(context.display, report, source, pruned=pruned, where=all_of(config.where, where))
