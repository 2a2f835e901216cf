"""The lane of actors that ask, with one limiter for all of them.

| file      | role
| --------- | ----
| actors    | The actors: one says when each request may go, the others send and journal the answers
| placement | Where the actors run: the limiter beside the driver, the askers on nodes without a GPU
| run       | Hands out what is to be asked about, until all is answered or no request can succeed
"""
