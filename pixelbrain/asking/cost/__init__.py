"""What a request costs: prices of models, and how they count an image.

| what | file | role |
| --- | --- | --- |
| `TileTokens` | image_tokens | how models count an image: by tiles or by patches |
| `ModelPrice` | prices | what models cost: one dated table, which a config file may override |
"""
