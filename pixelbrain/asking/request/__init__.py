"""One request: what is sent, and what comes back.

| file     | role
| -------- | ----
| body     | What is sent to the model about one image, what it may cost, and how its reply becomes answers
| client   | The connection to an OpenAI-compatible server: one client an event loop, one request at a time through
| failures | What a failed request means: try it again, give up the row, or stop the job; and how long to wait before a
| headers  | What a server says about its limits: the x-ratelimit-* headers, and how long it asks to wait after a 429
| photo    | The image as it is sent: upright, no larger than the model can use, as JPEG
"""
