"""Questions about landed images, to GPT-4 Vision or any server that speaks its API.

| what | file | role |
| --- | --- | --- |
| `Outcome` | answer_records | what is known about a question and an image, as it is journalled and lands; their sum |
| `dry_run` | dry_run | what a run would take, before a cent is spent |
| `look_at` | look | before any work: somebody is at the server's address, and speaks the API |
| `Gpt4VModule` | module | the questions, their settings and limits, as users write them |
| `pending_images` | pending | what is still to be asked about what has landed, and what asking has cost so far |
| `Reasons` | reasons | why requests failed, counted; and when every one fails for one reason |
| `AskSettings` | settings | what is asked of whom, and how fast and for how much |
| a room | batch/ | asking through the Batch API: half the price, within a day; all of its state is in OUT |
| a room | cost/ | what a request costs: prices of models, and how they count an image |
| a room | limits/ | how fast and for how much: requests, tokens and dollars, reserved before anything is sent |
| a room | online/ | asking at once: many requests in flight, each with its tries |
| a room | questions/ | what is asked, what an answer may be, and which images are asked about |
| a room | request/ | one request: what is sent, what it may cost, and what comes back; for both ways to ask |
"""
