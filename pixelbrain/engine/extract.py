"""Extract: stream the images that are left to do through the modules, and land a row for each."""

from __future__ import annotations

import dataclasses
import functools
import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pixelbrain import schema
from pixelbrain.config import Placement
from pixelbrain.engine.executor import Job
from pixelbrain.engine.passes import Passes
from pixelbrain.engine.plan.pools import Plan
from pixelbrain.engine.progress import ExtractProgress, Progress
from pixelbrain.engine.work.run_notes import RunNotes
from pixelbrain.engine.work.worklist import Worklist, WorkOrder, peek
from pixelbrain.errors import ConfigError, ModuleError, SourceGoneError
from pixelbrain.images.loader import DataLoader
from pixelbrain.landing.landing import Landing
from pixelbrain.landing.moves.moved import Moves, find_moves, settle
from pixelbrain.landing.moves.pictures import copy_pictures
from pixelbrain.landing.parts import ModuleState, claim_generation
from pixelbrain.landing.remaining import prune as prune_images
from pixelbrain.locks.run import RunLock
from pixelbrain.modules.base import PipelineModule, Resources
from pixelbrain.modules.requires import Giver, resolve
from pixelbrain.schema import check_name
from pixelbrain.shown import Shown
from pixelbrain.sources import name_sources
from pixelbrain.sources.archives.names import TAR_SUFFIXES
from pixelbrain.sources.base import IMAGE_SUFFIXES, LIST_SUFFIXES
from pixelbrain.sources.gone import find_gone
from pixelbrain.sources.passed_over import describe_passed_over
from pixelbrain.storage.base import Storage

logger = logging.getLogger(__name__)

#: The first tables of a listing, and whether that is all of it.
FirstLook: TypeAlias = tuple[list[pa.Table], bool]


@dataclass(frozen=True, kw_only=True, repr=False)
class ExtractReport(Shown):
    """What a run of `extract` did."""

    listed: int
    done: int  # of them, in this run; the others had landed before
    failed: int  # of those done: images that could not be read, or on which a module failed
    failures: Mapping[str, int]  # by kind
    moved: (
        int  # landed earlier under another name, which is gone: no model looked again at what is known of their bytes
    )
    copies: int  # of those done, known by their bytes as well, and the others are still there
    gone: int  # landed earlier, and in the source no longer; pruned if that was asked for
    stopped: bool  # by Ctrl-C, before all was done
    seconds: float  # all of it, Ray's start and the models' included
    working_seconds: float  # of them, those in which images were worked on
    seconds_by_activity: Mapping[str, float] = field(repr=False)  # of the actors at work, summed over them
    plan: Plan | None = field(repr=False)  # the last one, as nodes come and go; None: nothing was left to do
    passed_over: Mapping[str, int] = field(default_factory=dict)  # what is in the source and was not listed, by kind
    turned: int = 0  # of those done: on their side or upside down, and turned for their faces

    @property
    def images_per_s(self) -> float:
        """The rate while images are worked on; 0 where nothing was left to do."""
        return self.done / self.working_seconds if self.working_seconds else 0.0


def add_reports(first: ExtractReport, then: ExtractReport) -> ExtractReport:
    """Two passes over the same images as one: of those of the first, the second looked at some, with other modules."""
    return dataclasses.replace(
        first,
        done=first.done + then.done,
        failed=first.failed + then.failed,
        failures=dict((Counter(first.failures) + Counter(then.failures)).most_common()),
        stopped=then.stopped,
        seconds=first.seconds + then.seconds,
        working_seconds=first.working_seconds + then.working_seconds,
        seconds_by_activity=dict(Counter(first.seconds_by_activity) + Counter(then.seconds_by_activity)),
        plan=then.plan or first.plan,
        turned=first.turned + then.turned,
    )


def extract(
    loader: DataLoader,
    modules: Sequence[PipelineModule],
    out: str | Path | Storage,
    *,
    placement: Placement | None = None,
    retry_failed: bool = False,
    force: bool = False,
    prune: bool = False,
    prune_gone_source: bool = False,
    thumbnails: bool = True,
    looked: FirstLook | None = None,
    progress: ExtractProgress | None = None,
    debug: bool = False,
) -> ExtractReport:
    """Run the modules over a source's images and land one row an image in OUT.

    Images that have landed with the same settings are not read again, and those whose bytes have landed under another
    name or time are read, and not looked at again. A broken image is a `failed` row. Ctrl-C lands
    what is in flight, and ends the run within half a minute; the next run does the rest. Nodes may come and go.

    Args:
        out: a folder, or s3://bucket/prefix.
        retry_failed: do images again that failed, or on which a module failed.
        force: do all images again, whatever has landed.
        prune: remove images from OUT that are gone from the source.
        prune_gone_source: remove all images of a source from OUT that is not there any more.
        thumbnails: land small pictures of the images and faces as well, for the gallery: `schema.PICTURE_SCHEMA`.
        looked: what `first_look` has just returned; without, it is looked at here.
        debug: show Ray's own log.

    Raises:
        SourceError: the source cannot be listed, holds no image, or is not there on every node.
        WeightsError: a model's weights cannot be had.
        OutLockedError: another run works on OUT.
        ConfigError: a module is called like a question of this OUT, or requires what nothing gives; or a source that
            should be gone is there.
        LandingError: OUT cannot be written, or is on one node's disk.
        EngineError: Ray cannot be started, lacks what the plan reserves, or lost the actors for good.
    """
    started = time.monotonic()
    loader, landing = loader.settled(), Landing(out, s3_endpoint=loader.s3_endpoint)
    questions = landing.answer_log.fields()
    for module in modules:
        check_name("module", module.name, questions=questions)
    modules, stands_on = in_order(modules, landing)
    tables, complete = looked or first_look(loader, landing, prune=prune, prune_gone_source=prune_gone_source)
    for module in modules if any(map(len, tables)) else ():
        module.prepare()
    states = _states(modules, stands_on, landing)
    with RunLock(landing.storage, what="extract") as lock:
        for name in landing.set_aside_broken():
            logger.warning("%s could not be read, and was set aside: its images are done again", name)
        if not force:  # the part files have just been looked into
            _check_fields(modules, states, landing)
        notes = RunNotes(landing.storage)
        notes.clear()
        generation = claim_generation(landing.storage)
        worklist = _worklist(
            loader,
            landing,
            modules,
            stands_on,
            states,
            generation=generation,
            retry_failed=retry_failed,
            force=force,
            tables=tables if complete else None,
            landed=_landed_hashes(states, landing),
        )
        job = Job(
            modules=modules,
            storage=landing.storage,
            source=name_sources(loader.source),
            first_image=next((table["image_id"][0].as_py() for table in tables if len(table)), ""),
            placement=placement or Placement(),
            debug=debug,
        )
        order = WorkOrder(
            storage=landing.storage,
            generation=generation,
            states=states,
            s3_endpoint=loader.s3_endpoint,
            max_megapixels=loader.max_megapixels,
            thumbnails=thumbnails,
            stands_on=stands_on,
        )
        counts = Progress(notes, progress)
        run = Passes(job=job, worklist=worklist, order=order, landing=landing, progress=counts, lock=lock)
        run.work()
        moves, gone = Moves(to={}, left={}), None
        if not run.stopped:  # else the next run looks at them, as at those of one that was killed
            moves = _settle(landing, notes, generation, loader)
            gone = notes.read_gone()
            if gone is not None:  # what moved is not gone
                gone = gone.filter(pc.invert(pc.is_in(gone["image_id"], pa.array(list(moves.left), pa.string()))))
        if gone is not None and (prune or prune_gone_source):
            prune_images(landing, gone)
        listing = notes.read_listing()
        notes.clear()
        landing.refresh()
    return ExtractReport(
        listed=listing.listed,
        done=counts.tally.images,
        failed=counts.tally.failed,
        failures=dict(counts.tally.failures.most_common()),
        moved=moves.moved,
        copies=moves.copies,
        gone=len(gone) if gone is not None else 0,
        stopped=run.stopped,
        seconds=time.monotonic() - started,
        working_seconds=counts.working_seconds,
        seconds_by_activity=dict(counts.tally.seconds),
        plan=run.plan,
        passed_over=listing.passed_over,
        turned=counts.tally.turned,
    )


def _settle(landing: Landing, notes: RunNotes, generation: int, loader: DataLoader) -> Moves:
    """Let what is known follow the images that moved, of this run and of one before that could not."""
    since = notes.unsettled()
    if since is None:
        return Moves(to={}, left={})
    landing.refresh()
    moves = find_moves(landing, since, generation, functools.partial(find_gone, s3_endpoint=loader.s3_endpoint))
    copy_pictures(landing.storage, moves.alike, generation)
    settle(landing, moves)
    notes.settled()
    return moves


def look_ahead(
    loader: DataLoader,
    modules: Sequence[PipelineModule],
    landing: Landing,
    *,
    retry_failed: bool = False,
    force: bool = False,
) -> tuple[int, bool, int]:
    """What a run would have to do, as far as a first look at the source tells; nothing is written or downloaded.

    Returns:
        Images listed, whether that is all of them, and how many of them are left to do. Raises as `extract` does.
    """
    tables, complete = first_look(loader, landing)
    modules, stands_on = in_order(modules, landing)
    states = _states(modules, stands_on, landing)
    if not force:
        _check_fields(modules, states, landing)
    asked = {"generation": sys.maxsize, "retry_failed": retry_failed, "force": force}
    remaining = _worklist(loader, landing, modules, stands_on, states, **asked).remaining(landing)
    left = sum(len(rows) for table in tables for rows in remaining.split(table).values())
    return remaining.listed, complete, left


def first_look(
    loader: DataLoader, landing: Landing, *, prune: bool = False, prune_gone_source: bool = False
) -> FirstLook:
    """The first tables of the listing, and whether that is all; with `prune_gone_source`, of no image.

    Raises:
        SourceError: no listing, or no image in it.
        ConfigError: `prune_gone_source`, and the source is there.
    """
    loader.leave_out(landing.storage.uri, str(landing.storage.local))  # of an OUT in S3, the gallery is on this disk
    try:
        tables, complete = peek(loader.list_images())
        if not any(map(len, tables)) and not loader.chooses:
            instead = f"; passed over: {describe_passed_over(loader.passed_over)}" if loader.passed_over else ""
            if any(suffix in loader.passed_over for suffix in TAR_SUFFIXES):
                instead += "; archives are named themselves: a.tar, or '*.tar'"
            named = [loader.source] if isinstance(loader.source, str) else loader.source
            looked = f"looked for {' '.join(IMAGE_SUFFIXES)}"
            if all(one.lower().endswith((*TAR_SUFFIXES, *LIST_SUFFIXES)) for one in named):
                looked = "nothing is called so, or there is none in it"
            raise SourceGoneError(f"no image in {name_sources(loader.source)}: {looked}{instead}")
    except SourceGoneError as error:
        if prune_gone_source:
            return [], True
        hint = "; --prune-gone-source removes all its images from OUT, if it is gone for good" if prune else ""
        raise SourceGoneError(f"{error}{hint}") from None
    if prune_gone_source:
        raise ConfigError(
            f"{name_sources(loader.source)} is there: --prune removes what is gone from it, --prune-gone-source is for "
            "one that is not"
        )
    return tables, complete


def _worklist(
    loader: DataLoader,
    landing: Landing,
    modules: Sequence[PipelineModule],
    stands_on: Mapping[str, Mapping[str, str]],
    states: Mapping[str, ModuleState],
    **more: Any,
) -> Worklist:
    return Worklist(
        loader=loader,
        storage=landing.storage,
        settings_hashes={name: state.settings_hash for name, state in states.items()},
        by_name=frozenset(name for name, state in states.items() if state.by_name),
        along=frozenset(module.name for module in modules if not module.alone),
        stands_on=stands_on,
        **more,
    )


def in_order(
    modules: Sequence[PipelineModule], landing: Landing
) -> tuple[list[PipelineModule], dict[str, dict[str, str]]]:
    """The modules in the order in which they run, and what each stands on; see `modules.requires.resolve`.

    Raises:
        ConfigError: see there; or two are called the same.
    """
    names = [module.name for module in modules]
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"modules are {names}: at least one, and no name twice")

    def landed() -> list[Giver]:
        return [
            Giver(name=name, fields=[field.name for field in columns.field(name).type], requires=state.stands_on)
            for name, (state, columns) in landing.newest_states().items()
        ]

    return resolve(modules, landed)


def _states(
    modules: Sequence[PipelineModule], stands_on: Mapping[str, Mapping[str, str]], landing: Landing
) -> dict[str, ModuleState]:
    """What is going to compute each column, of modules in their order."""
    states: dict[str, ModuleState] = {}
    landed = {name: state for name, (state, _columns) in landing.newest_states().items()} if stands_on else {}
    for module in modules:  # as modules said it before there was `Resources`; unheard, it would change what a run takes
        if loose := [field.name for field in dataclasses.fields(Resources) if hasattr(module, field.name)]:
            wanted = ", ".join(f"{name}={getattr(module, name)!r}" for name in loose)
            raise ModuleError(
                f"module {module.name}: instead of {', '.join(loose)}, set resources = Resources({wanted})"
            )
        below = {of: states.get(of, landed.get(of)) for of in stands_on.get(module.name, {}).values()}
        states[module.name] = ModuleState(
            settings=module.settings(),
            model=module.model_info(),
            stands_on={of: state.settings_hash for of, state in below.items()},
            by_name=module.by_name or any(states[of].by_name for of in below.keys() & states.keys()),
        )
    return states


def _check_fields(modules: Sequence[PipelineModule], states: Mapping[str, ModuleState], landing: Landing) -> None:
    """Raise `ModuleError` for fields of another kind than those that landed, where the settings are the same.

    Two kinds in one column are no table, and no collection of vectors.
    """
    earlier = landing.newest_states()
    for module in (one for one in modules if one.name in earlier):
        (landed, columns), state, kind = earlier[module.name], states[module.name], module.struct_type()
        if (state.settings_hash, state.model) != (landed.settings_hash, landed.model):
            continue  # what landed is work to do again
        was = landed.vectors or {}
        other = [
            f"{v} has {n} numbers, and {was[v]}" for v, n in schema.vector_fields(kind).items() if was.get(v, n) != n
        ]
        try:
            schema.common_type([schema.as_landed(one) for one in (columns.field(module.name).type, kind)])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            other.append("its fields are of other types than")
        if other:
            raise ModuleError(
                f"module {module.name}: {other[0]} in OUT, by the same settings(): have these say that it is another "
                "one, or do all images again with --force"
            )


def _landed_hashes(states: Mapping[str, ModuleState], landing: Landing) -> dict[str, str]:
    """Of what landed earlier and modules stand on that run now: what computed it; not where it goes by names."""
    below = {name: wanted for state in states.values() for name, wanted in state.stands_on.items()}
    landed = landing.newest_states() if below.keys() - states.keys() else {}
    return {of: wanted for of, wanted in below.items() if of not in states and not landed[of][0].by_name}
