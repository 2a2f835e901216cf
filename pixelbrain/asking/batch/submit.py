"""Send a batch so that no crash can send it twice, and find out after one what was sent."""

from __future__ import annotations

import logging
import time
from decimal import Decimal
from pathlib import Path

from pixelbrain.asking.batch.api import BatchApi, RejectedError
from pixelbrain.asking.batch.pending_answers import Flight
from pixelbrain.asking.batch.store import BatchState, BatchStore

__all__ = ["load_flight", "recover", "submit"]

logger = logging.getLogger(__name__)


def submit(state: BatchState, upload_path: Path, store: BatchStore, api: BatchApi) -> None:
    """Upload a batch's requests and start it.

    Its state is `submitting` on the disk already, and becomes `running`. The upload is removed from the disk.

    Raises:
        RejectedError: the server refuses the batch; the state is the caller's to drop.
        StopJob: the server cannot be reached, or nothing can be sent. The next run finds out what it knows.
    """
    try:
        state.input_file_id = api.upload(upload_path)
        store.save(state)
        try:
            batch = api.create(state.input_file_id, state.id)
        except RejectedError:
            api.delete_file(state.input_file_id)
            raise
    finally:
        upload_path.unlink(missing_ok=True)
    state.batch_id, state.status, state.stage = batch.id, batch.status, "running"
    store.save(state)
    logger.info("batch %s is %s: %d requests", state.id, batch.id, state.requests)


def recover(store: BatchStore, api: BatchApi, *, settle_s: float) -> None:
    """Take up what a killed process was about to send: the batches that the server knows run, the others never were.

    Args:
        settle_s: a batch that is not found is looked for once more after so many seconds: its creation may have been
            on its way when the process was killed.
    """
    store.clean()
    for state in store.active():
        if state.stage != "submitting":
            continue
        batch = api.find(state.id)
        if batch is None:
            time.sleep(settle_s)
            batch = api.find(state.id)
        if batch is not None:
            state.batch_id, state.input_file_id = batch.id, batch.input_file_id
            state.status, state.stage = batch.status, "running"
            store.save(state)
            logger.info("batch %s was sent as %s by a run that was ended", state.id, batch.id)
            continue
        if state.input_file_id:
            api.delete_file(state.input_file_id)
        store.drop(state)
        logger.info("batch %s was never sent", state.id)


def load_flight(store: BatchStore, flight: Flight) -> Decimal:
    """Fill `flight` with what is on its way, and with the history of what is to be asked again.

    Returns:
        What earlier tries of those requests have cost, which is in no record yet.
    """
    spent = Decimal(0)
    for state in store.active():
        for row in store.rows(state):
            flight.add(row, state.settings)
            spent += row.spent.usd
    store.prune_again(lambda row: not flight.has_answer(row))  # a killed run had sent these on
    for row in store.again_rows():
        flight.put_again(row)
    return spent + flight.again_usd()
