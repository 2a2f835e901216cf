"""What is asked, and what an answer may be.

| what | file | role |
| --- | --- | --- |
| `AnswerType` | answer_types | the types of answers: what the model is told, what is accepted, how it is stored |
| `Question` | question | a question about an image, what became of it, and the questions that are there by name |
| `strict_schema` | schemas | JSON schemas: made strict, checked against, and as Arrow types |
"""
