"""Questions about landed images, to GPT-4 Vision or any server that speaks its API.

| file           | role
| -------------- | ----
| answer_records | What is known about one question and one image, as it is journalled and lands
| dry_run        | What a run would take, before a cent is spent: images, requests, tokens, dollars and minutes
| module         | `Gpt4VModule`: the questions, their settings and limits, as users write them
| pending        | What is still to be asked about what has landed, and what asking has cost so far
| settings       | What is asked of whom, and how fast and for how much
| batch/         | Asking through the Batch API: half the price, within a day; all of its state is in OUT
| cost/          | What a request costs: prices of models, and how they count an image
| limits/        | How fast and for how much: requests, tokens and dollars, reserved before anything is sent
| online/        | Asking at once: many requests in flight, each with its tries
| questions/     | What is asked, what an answer may be, and which images are asked about
| request/       | One request: what is sent, what it may cost, and what comes back; for both ways to ask
"""
