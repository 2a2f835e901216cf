"""The Ray that the work runs on: found, joined, started, and given jobs.

| what          | role
| ------------- | ----
| session       | One Ray for all stages of a run: found, joined, or started here and stopped afterwards
| settings      | What every Ray that we start, or join, is told before it is imported
| address       | A Ray's address: its forms, and whether a Ray that we can join answers there
| token         | Ray's token: where it is looked for, and a new one where there is none
| local_cluster | Laptop mode: one Ray on this machine that several commands share
| local_state   | What is known of that one: a small file, believed only while the process in it lives
| dashboard     | A cluster's dashboard, which takes jobs: where it is, and a client that does not wait for ever
| jobs          | Jobs: submit a command, follow its log to its exit code, stop it
| job_check     | What a job must not carry: secrets, and files that stay behind
| metrics       | The meter that Ray's Prometheus endpoint carries
"""
