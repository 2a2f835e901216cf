"""The Ray that the work runs on: found, joined, started, and given jobs.

| what | file | role |
| --- | --- | --- |
| `ray_session` | session | one Ray for all stages of a run: found, joined, or started here and stopped afterwards |
| `check_address` | address | a Ray's address: its forms, and whether a Ray that we can join answers there |
| `Token` | token | Ray's token: where it is looked for, and a new one where there is none |
| `up` | local_cluster | laptop mode: one Ray on this machine that several commands share |
| `LocalCluster` | local_state | what is known of that one: a small file, believed only while the process in it lives |
| `dashboard_address` | dashboard | a cluster's dashboard, which takes jobs, and a client that does not wait for ever |
| `Jobs` | jobs | jobs: submit a command, follow its log to its exit code, stop it |
| `check_secret` | job_check | what a job must not carry: secrets, and files that stay behind |
| `RayMeter` | metrics | the meter that Ray's Prometheus endpoint carries |
"""
