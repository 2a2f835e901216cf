"""What is asked, what an answer may be, and which images are asked about.

| file         | role
| ------------ | ----
| answer_types | The types of answers: what the model is told, what is accepted, how it is stored
| prebuilt     | Questions that are there by name
| question     | A question about an image, and what became of it
| schemas      | JSON schemas: made strict, checked against, and as Arrow types
| where        | Which images to ask about: a small expression over what is known of them
"""
