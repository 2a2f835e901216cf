"""What people say about people, and ids that stay: corrections that hold over every new clustering.

| what | file | role |
| --- | --- | --- |
| `apply_claims` | apply | corrections on top of what a clustering found: whose each face is, and the people |
| `Claims` | claims | what all corrections say together, and where two of them contradict each other |
| `EventLog`, `Event` | events | one small file an event, appended, in one order |
| `find_faces` | faces | a face found again: by its photo's bytes, and the overlap of boxes |
| `Increment` | increment | new faces among the people known; who is not touched stays |
| `keep_people` | keep | new clusters get the ids of the people whose faces they have |
| `Last` | last | what the last `identify` found, and by what: is anything new |
| `Memory` | memory | what is remembered over a new clustering: people, and all that was said |
| `People` | people | name, merge, split, assign, hide, reject, undo: what users call |
| `State` | state | what corrections are made on: faces, events, people |
| `suggestions` | suggest | what is most worth a look |
| `explain` | why | why a face is whose it is: nearest faces, distances, the reason |
"""
