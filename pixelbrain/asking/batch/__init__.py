"""Asking through the Batch API: half the price, within a day; all of its state is in OUT.

| file            | role
| --------------- | ----
| api             | The Files and Batches endpoints: uploads, batches and results, through failing networks and busy
| ask             | Ask through the Batch API: half the price, within a day
| cancel          | Cancel the batches of an OUT, and keep what they have finished
| collect         | Bring an ended batch home: its answers into the journal, what it left unanswered back to be asked
| pending_answers | Which answers are on their way, who else waits for them, and what is to be asked over
| photos          | Images for the requests of a batch: read and brought to size by a few threads, in their order
| quota           | Whether one more request may go: the account's queue, the budget, and what is on its way
| report          | What a run of batches did
| request_file    | The request files of the Batch API: JSONL within the API's limits, streamed to disk and never held
| requests        | Entries become requests of a batch; what is known, on its way or unreadable does not
| results         | What became of one request of a batch: records to land, or a request that is to be asked again
| rounds          | The waves of a run: fill, send, look, collect, and again, until everything is answered
| run             | Ask through the Batch API: waves of batches under the account's limits and the budget
| store           | What is known of each batch, in OUT/answers/batches: enough for another machine to go on
| submit          | Send a batch so that no crash can send it twice, and find out after one what was sent
| token_queue     | How many input tokens may be on their way at once: a setting, or learnt from what the server turns
"""
