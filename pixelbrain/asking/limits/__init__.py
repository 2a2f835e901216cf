"""How fast and for how much: requests, tokens and dollars, reserved before anything is sent.

| file    | role
| ------- | ----
| budget  | The dollars of the limiter: reserved before a request is sent, at the most that it can cost, under a hard
| gate    | The gate that every request of a process goes through: it waits for the limiter's permit and hands it on
| leases  | What passes between a gate and the limiter: wanted requests, the answer to them, and what they came to
| limiter | The limiter of one provider and model: requests, tokens and dollars, shared by everyone who asks it
| window  | An amount a minute that is spent smoothly, and never exceeded in any window
"""
