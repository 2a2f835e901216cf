"""One request: what is sent, what it may cost, and what comes back; for both ways to ask.

| file     | role
| -------- | ----
| body     | What is sent about one image, and the key under which its answer is remembered
| client   | How clients are made, one request through `send`, and what the SDK's errors mean
| estimate | What a request takes before it is sent, and the one warning when requests come to more
| failures | What a failed request means: try it again, give up the row, or stop the job
| headers  | What a server says about its limits, and how long it asks to wait
| photo    | The image as it is sent: read, brought to size, as JPEG or as a URL, with its keys
| replies  | What comes back: a chat completion as answers, a refusal, or nothing of use
"""
