"""Questions about landed images, to GPT-4 Vision or any server that speaks its API.

| file           | role
| -------------- | ----
| answer_records | Answer records: what is known about one question and one image, as it is journalled and lands
| dry_run        | What a run would take, before a cent is spent: images, requests, tokens, dollars and minutes
| module         | Gpt4VModule: questions about images, asked of GPT-4 Vision or any server that speaks its API
| pending        | What is still to be asked about what has landed, and what asking has cost so far
| batch/         | Asking through the Batch API: half the price, within a day; all of its state is in OUT
| cost/          | What a request costs: prices of models, and how they count an image
| limits/        | How fast and for how much: requests, tokens and dollars, reserved before anything is sent
| online/        | Asking at once: many requests in flight, each with its tries
| questions/     | What is asked, and what an answer may be
| request/       | One request: what is sent, and what comes back
"""
