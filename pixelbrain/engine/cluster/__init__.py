"""The Ray that the work runs on: found, joined, started, and given jobs.

| file          | role
| ------------- | ----
| address       | A Ray's address: its forms, and whether a Ray that we can join answers there, asked before Ray's own
| dashboard     | A cluster's dashboard, which takes jobs: where it is, and a client that does not wait for ever
| job_check     | What a job must not carry: secrets, which Ray shows to whoever may list jobs, and files that stay
| jobs          | Jobs on a Ray cluster: submit a command through the dashboard, follow its log to its exit code, stop
| local_cluster | Laptop mode: one Ray on this machine that several commands share, so that its start is paid for once
| local_state   | What is known of the local cluster: a small state file, believed only while the process in it lives
| metrics       | The meter that Ray's Prometheus endpoint carries: every node's metrics agent shows it, as
| session       | One Ray for all stages of a run: found, joined, or started here and stopped afterwards
| settings      | What every Ray that we start, or join, is told before it is imported
| token         | Ray's token: where it is looked for, and a new one where a Ray of ours starts and there is none
"""
