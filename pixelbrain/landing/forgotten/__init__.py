"""What was forgotten: marks without biometrics that keep it from coming back, and how it leaves OUT.

| what | file | role |
| --- | --- | --- |
| `erase` | erase | take out of all of OUT what is marked; safe to kill at any moment, and to do again |
| `erase_from_registry` | people | out of what is known of people for life, and out of corrections |
| `select` | select | what a person, a face or a photo is in OUT: what is to be marked |
| `Marks`, `read_marks` | marks | which faces and photos are forgotten, as files under OUT; no row of them lands |
"""
