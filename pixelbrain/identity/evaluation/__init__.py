"""How well people were found: against labels of one's own, at this threshold and at others.

| what | file | role |
| --- | --- | --- |
| `Curve` | curve | precision, recall and F over thresholds: the same faces clustered at each |
| `draw_curve` | drawing | the curve as an SVG |
| `evaluate` | evaluate | the people of OUT against the labels: scores, who is mixed with whom, who is in pieces |
| `LabelledFaces` | labels | whose face is whose: of a CSV, or of a folder a person, found among the faces of OUT |
"""
