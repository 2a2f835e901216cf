"""How fast and for how much: requests, tokens and dollars, reserved before anything is sent.

| what | file | role |
| --- | --- | --- |
| `Budget` | budget | the dollars: reserved at the most that a request can cost, under a hard cap |
| `Gate` | gate | where the requests of a process wait for the limiter's permits, asked for many at once |
| `Want` | leases | what passes between a gate and the limiter: wishes, permits, and what requests came to |
| `RateLimiter` | limiter | the limiter of one provider and model, shared by everyone who asks it |
| `Count` | window | an amount a minute that is spent smoothly, and never exceeded in any window |
"""
