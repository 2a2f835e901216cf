"""The lane of actors that ask, with one limiter for all of them.

| file      | role
| --------- | ----
| actors    | The actors of the asking lane: one says when each request may go, the others send them and journal the
| gate      | Between an asking actor and the limiter's: permits over Ray, a bound on requests in flight, and the meter
| placement | Where the actors of the asking lane run: the limiter where the driver is, the askers on nodes without a
| run       | Ask: async actors send questions about landed images, and one limiter actor says when each request may go
"""
