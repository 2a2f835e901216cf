"""Questions about images, to GPT-4 Vision or any server that speaks its API."""
