"""What is asked, and what an answer may be.

| file         | role
| ------------ | ----
| answer_types | The types of answers: what is asked of the model, what is accepted from it, and how it is stored
| prebuilt     | Questions that are there by name
| question     | The words of the asking lane: a question, what is asked how, and what became of it
| schemas      | JSON schemas of answers: brought to what strict structured outputs take, checked against, and as Arrow
| where        | Which images to ask about: a small expression over what is known of them, checked and applied without
"""
