"""A strict fake of the OpenAI API: a server process of its own, over HTTP.

`FakeOpenAI` in `running.py` starts it for a test; `python -m tests.fake_openai.server --help` by hand. It shares no
code with `pixelbrain.asking`, so that a wrong price or a wrong token count is seen by the two disagreeing.
"""
