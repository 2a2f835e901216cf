"""Asking through the Batch API: half the price, within a day; all of its state is in OUT.

| what | file | role |
| --- | --- | --- |
| `RejectedError` | api | the Files and Batches endpoints, through failing networks and busy servers |
| `CancelReport` | cancel | cancel the batches of an OUT, and keep what they have finished |
| `Collected` | collect | bring an ended batch home: answers to the journal, the rest back to be asked again |
| `PendingAnswers` | pending_answers | which answers are on their way, who else waits for them, what is asked over |
| `Quota` | quota | whether one more request may go: the account's queue, the budget, what is on its way |
| `Request` | requests | images become requests; what is known, on its way or unreadable does not |
| `Result` | results | what became of one request: records to land, or a request to be asked again |
| `Rounds` | rounds | the rounds of a run: fill, send, look, collect, until everything is answered |
| `ask_batch` | run | ask what is open in an OUT through the Batch API, under its limits and budget |
| `Row` | store | what is known of each batch, in OUT: enough for another machine to go on |
| `RequestFile` | submit | a batch in the making, and sending it so that no crash can send it twice |
"""
