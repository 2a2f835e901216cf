"""The page to work in, `pixelbrain open`: people are named and corrected, photos found, in a browser of this machine.

| what | file | role |
| --- | --- | --- |
| `make_app` | app | which address shows or says what; errors as pages |
| `Guard` | guard | Host, Origin, token and cookie, sizes, and the headers that keep a browser from doing more |
| `history_page` | history | what was said of people and chosen among duplicates, each to be taken back |
| `MapPages` | map | the map, its points for the script, and how it is made |
| `Page` | page | renders a template: links, messages, long lists in pages |
| `people_page` | people | people, one of them, and faces of nobody |
| `photos_page`, `photo_page` | photos/ | photos that were searched, one of them, and pictures |
| `review_page` | review | one question after another: the same person? |
| `run_page` | run | the front, figures of the run, failures by kind |
| `name_person` | say | what a form says becomes a correction, and a sentence about it |
| `serve` | serve | an address of this machine, and the browser that opens it |
| `groups_page` | duplicates/ | duplicates and look-alikes, two side by side, and what somebody chooses among them |
| `Desk` | data/ | what the pages show, in memory |
"""
