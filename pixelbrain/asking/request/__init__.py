"""One request: what is sent, what it may cost, and what comes back; for both ways to ask.

| what | file | role |
| --- | --- | --- |
| `sent_parameters` | body | what is sent about one image, and the key under which its answer is remembered |
| `AskClient` | client | how clients are made, one request through `send`, and what the SDK's errors mean |
| `Dialect` | dialect | what a server takes of a request, said beforehand or learned from a refusal |
| `Estimate` | estimate | what a request takes before it is sent, and the one warning when requests come to more |
| `Retry` | failures | what a failed request means: try it again, give up the row, or stop the job |
| `find_object` | found_json | the JSON in what a model says: after its thoughts, in a fence, amid prose |
| `RateHeaders` | headers | what a server says about its limits, and how long it asks to wait |
| `Photo` | photo | the image as it is sent: read, brought to size, as JPEG or as a URL, with its keys |
| `GarbledReplyError` | replies | what comes back: a chat completion as answers, a refusal, or nothing of use |
| `Server` | server | which server is asked: presets of providers, addresses as people have them, headers, the key |
"""
