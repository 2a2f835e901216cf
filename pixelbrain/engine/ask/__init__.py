"""The lane of actors that ask, with one limiter for all of them.

| what | file | role |
| --- | --- | --- |
| `LimiterActor` | actors | the actors: one says when each request may go, the others send and journal the answers |
| `ask` | run | hands out what is to be asked about, until all is answered or no request can succeed |
"""
