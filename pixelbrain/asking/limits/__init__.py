"""How fast and for how much: requests, tokens and dollars, reserved before anything is sent.

| file    | role
| ------- | ----
| budget  | The dollars: reserved at the most that a request can cost, under a hard cap
| gate    | Where the requests of a process wait for the limiter's permits, asked for many at once
| leases  | What passes between a gate and the limiter: wishes, permits, and what requests came to
| limiter | The limiter of one provider and model, shared by everyone who asks it
| window  | An amount a minute that is spent smoothly, and never exceeded in any window
"""
