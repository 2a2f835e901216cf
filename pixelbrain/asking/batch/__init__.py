"""Asking through the Batch API: half the price, within a day; all of its state is in OUT.

| file            | role
| --------------- | ----
| api             | The Files and Batches endpoints, through failing networks and busy servers
| cancel          | Cancel the batches of an OUT, and keep what they have finished
| collect         | Bring an ended batch home: answers to the journal, the rest back to be asked again
| pending_answers | Which answers are on their way, who else waits for them, what is asked over
| quota           | Whether one more request may go: the account's queue, the budget, what is on its way
| report          | What a run of batches did
| requests        | Images become requests; what is known, on its way or unreadable does not
| results         | What became of one request: records to land, or a request to be asked again
| rounds          | The rounds of a run: fill, send, look, collect, until everything is answered
| run             | Ask what is open in an OUT through the Batch API, under its limits and budget
| store           | What is known of each batch, in OUT: enough for another machine to go on
| submit          | A batch in the making, and sending it so that no crash can send it twice
"""
