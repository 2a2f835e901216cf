"""Images on the web: https:// and http:// URLs that somebody named.

| what | file | role |
| --- | --- | --- |
| `normal_url` | urls | one id an image, however its URL is written; what is no URL of one |
| `read_web` | read | the bytes behind a URL, whole and within limits; its version, without them |
| `host_slot` | hosts | so many requests to a host at a time, of all processes of this machine |
"""
