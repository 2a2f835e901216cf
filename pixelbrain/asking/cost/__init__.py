"""What a request costs: prices of models, and how they count an image.

| file         | role
| ------------ | ----
| image_tokens | How models count an image: by 512-pixel tiles or by 32-pixel patches, and which size of it they can use
| prices       | What models cost, and how they count images: one dated table, which a config file may override
"""
